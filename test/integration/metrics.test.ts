/** `/metrics` of a whole gateway: in form, and in agreement with what was sent. */
import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { metricDefinitions } from "../../packages/gateway/src/app/metric-definitions.ts";
import type { ParsedFamily } from "../harness/exposition.ts";
import {
  createModelFolder,
  startTestGateway,
  testConfig,
  type JsonAnswer,
  type TestGateway,
} from "../harness/gateway.ts";
import { until } from "../harness/until.ts";

type Families = Map<string, ParsedFamily>;

/** What the mock takes for a call. */
const latencyMs = 20;

async function setup(test: TestContext, yaml = ""): Promise<TestGateway> {
  const models = createModelFolder(test);
  models.addMock(
    "m",
    `batching: { maxBatch: 4 }\nmock: { latencyMs: ${latencyMs}, identity: true, width: 4 }\n${yaml}`,
  );
  return startTestGateway(test, testConfig(models.path));
}

function infer(gateway: TestGateway, rows = 1, width = 4): Promise<JsonAnswer> {
  const data = Array.from({ length: rows * width }, (_, i) => i);
  return gateway.post("/v2/models/m/infer", {
    inputs: [{ name: "input", datatype: "FP32", shape: [rows, width], data }],
  });
}

/** One sample; 0 where the series is not there yet. */
function value(families: Families, family: string, labels = "", suffix = ""): number {
  const braces = labels === "" ? "" : `{${labels}}`;
  return families.get(family)?.samples.get(`${family}${suffix}${braces}`) ?? 0;
}

const m = 'model="m",version="1"';

/** Count and sum of a histogram of the model. */
function histogram(families: Families, name: string): { readonly count: number; readonly sum: number } {
  const family = `spillway_model_${name}`;
  return { count: value(families, family, m, "_count"), sum: value(families, family, m, "_sum") };
}

function outcome(families: Families, name: string): number {
  return value(families, "spillway_model_requests_total", `${m},outcome="${name}"`);
}

describe("/metrics", () => {
  it("is an exposition in form: every family is a listed one, with its type, its help and a unit in its name", async (test) => {
    const gateway = await setup(test);
    await Promise.all([infer(gateway), infer(gateway, 1, 3)]);
    await gateway.rpc().ask("inference.GRPCInferenceService", "ServerLive", {});
    const response = await fetch(`${gateway.url}/metrics`);
    assert.equal(response.headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    const listed = new Map(metricDefinitions.map((definition) => [definition.name, definition]));
    const families = await gateway.metrics();
    for (const [name, { type, help, samples }] of families) {
      const definition = listed.get(name);
      assert.ok(definition, `${name} is not on the list that the reference page is made from`);
      assert.equal(help, definition.help);
      assert.equal(type === "histogram", definition.buckets !== undefined, name);
      assert.equal(type === "counter", name.endsWith("_total"), name);
      assert.doesNotMatch(name, /_(ms|millis|milliseconds|mb|kb|percent)(_|$)/, "base units only");
      if (/duration|delay/.test(name)) assert.match(name, /_seconds$/);
      if (/memory|bytes/.test(name)) assert.match(name, /_bytes$/);
      for (const series of samples.keys()) assertLabels(series, definition.labels);
    }
    for (const family of [
      "requests_total",
      "queue_duration_seconds",
      "batch_rows",
      "queue_requests",
      "instances",
    ])
      assert.ok(families.has(`spillway_model_${family}`), family);
  });

  it("counts what was sent: requests, rows, calls, and where the time went", async (test) => {
    const gateway = await setup(test);
    for (let i = 0; i < 5; i++) assert.equal((await infer(gateway)).status, 200);
    for (const rows of [3, 7]) assert.equal((await infer(gateway, rows)).status, 200);
    assert.equal((await infer(gateway, 1, 3)).status, 400);
    const families = await gateway.metrics();
    assert.equal(outcome(families, "ok"), 7);
    assert.equal(value(families, "spillway_model_rows_total", m), 15);
    assert.equal(value(families, "spillway_model_calls_total", m), 7);
    assert.deepEqual(histogram(families, "batch_rows"), { count: 7, sum: 15 });
    const compute = histogram(families, "compute_duration_seconds");
    const queue = histogram(families, "queue_duration_seconds");
    const total = histogram(families, "request_duration_seconds");
    assert.deepEqual([compute.count, queue.count, total.count], [7, 7, 7]);
    // A timer may fire up to a millisecond early.
    assert.ok(compute.sum >= (7 * (latencyMs - 1)) / 1e3, `${compute.sum} s`);
    assert.ok(total.sum >= compute.sum, `${total.sum} s in sum, ${compute.sum} s of it in the model`);
    assert.ok(total.sum >= queue.sum);
    const http = (status: number): number =>
      value(
        families,
        "spillway_http_requests_total",
        `route="/v2/models/{model}/infer",method="POST",status="${status}"`,
      );
    assert.deepEqual([http(200), http(400)], [7, 1]);
    assert.equal(
      value(families, "spillway_http_request_duration_seconds", 'route="/v2/models/{model}/infer"', "_count"),
      8,
    );
    assert.equal(value(families, "spillway_http_requests_in_flight"), 1, "this question alone");
  });

  it("counts requests that travel together as one call", async (test) => {
    const gateway = await setup(test);
    await Promise.all(Array.from({ length: 40 }, () => infer(gateway)));
    const families = await gateway.metrics();
    const calls = value(families, "spillway_model_calls_total", m);
    assert.ok(calls >= 10 && calls < 40, `${calls} calls`);
    assert.deepEqual(histogram(families, "batch_rows"), { count: calls, sum: 40 });
    assert.equal(histogram(families, "compute_duration_seconds").count, calls);
    assert.equal(histogram(families, "queue_duration_seconds").count, 40);
    assert.ok(histogram(families, "queue_duration_seconds").sum > 0);
  });

  it("agrees with the statistics of v2", async (test) => {
    const gateway = await setup(test);
    await Promise.all(Array.from({ length: 20 }, (_, i) => infer(gateway, 1 + (i % 3))));
    const [families, answer] = await Promise.all([
      gateway.metrics(),
      gateway.client().ask({ path: "/v2/models/m/stats" }),
    ]);
    const [stats] = answer.json["model_stats"] as [
      {
        inference_count: number;
        execution_count: number;
        last_inference: number;
        inference_stats: Record<string, { count: number; ns: number }>;
        batch_stats: { batch_size: number; compute_infer: { count: number } }[];
      },
    ];
    assert.equal(stats.inference_count, value(families, "spillway_model_rows_total", m));
    assert.equal(stats.execution_count, value(families, "spillway_model_calls_total", m));
    assert.ok(Math.abs(stats.last_inference - Date.now()) < 60_000, "milliseconds since 1970");
    const same = (name: string, family: string): void => {
      const { count, sum } = histogram(families, family);
      const { count: counted, ns } = stats.inference_stats[name]!;
      assert.equal(counted, count, name);
      assert.ok(Math.abs(ns / 1e9 - sum) < 1e-6 * (1 + sum), `${name}: ${ns} ns, ${sum} s`);
    };
    same("success", "request_duration_seconds");
    same("queue", "queue_duration_seconds");
    same("compute_infer", "compute_duration_seconds");
    const rows = stats.batch_stats.reduce((sum, one) => sum + one.batch_size * one.compute_infer.count, 0);
    assert.equal(rows, stats.inference_count);
  });

  it("shows instances, processes and their ends", async (test) => {
    const gateway = await setup(test, "instances: 2");
    const instances = (families: Families, state: string): number =>
      value(families, "spillway_model_instances", `${m},state="${state}"`);
    const before = await gateway.metrics();
    assert.deepEqual([instances(before, "wanted"), instances(before, "ready")], [2, 2]);
    assert.equal(value(before, "spillway_model_ready", m), 1);
    const memory = before.get("spillway_worker_resident_memory_bytes")!.samples;
    const shown = [...memory.keys()].map((series) => Number(/pid="(\d+)"/.exec(series)?.[1]));
    assert.deepEqual(new Set(shown), new Set(gateway.pids("m/1")));
    for (const bytes of memory.values()) assert.ok(bytes > 10e6 && bytes < 1e9, `${bytes} bytes`);
    const [victim] = gateway.pids("m/1");
    process.kill(victim!, "SIGKILL");
    await until("the death is seen", async () => instances(await gateway.metrics(), "ready") === 1);
    const after = await until("it is replaced", async () => {
      const families = await gateway.metrics();
      return instances(families, "ready") === 2 && families;
    });
    assert.equal(value(after, "spillway_worker_restarts_total", 'deployment="m/1"'), 1);
    const alive = [...after.get("spillway_worker_resident_memory_bytes")!.samples.keys()];
    assert.ok(!alive.some((series) => series.includes(`pid="${victim}"`)), "the dead one is not shown");
  });

  it("forgets a model that is gone, but not what it counted", async (test) => {
    const gateway = await setup(test);
    await infer(gateway);
    await gateway.post("/v2/repository/models/m/unload", {});
    const families = await gateway.metrics();
    assert.equal(value(families, "spillway_model_ready", m), 0);
    assert.equal(value(families, "spillway_model_instances", `${m},state="ready"`), 0);
    assert.equal(outcome(families, "ok"), 1);
  });

  it("does not grow with what callers make up", async (test) => {
    const gateway = await setup(test);
    const rpc = gateway.rpc();
    const made = (round: number): Promise<unknown> =>
      Promise.all(
        Array.from({ length: 30 }, async (_, i) => {
          const name = `made-up-${round}-${i}`;
          await gateway.post(`/v2/models/${name}/infer`, {});
          await gateway.post("/predict", { features: [1], model_name: name });
          await fetch(`${gateway.url}/${name}/x`);
          await rpc.call("inference.GRPCInferenceService", "ModelMetadata", { name });
        }),
      );
    const series = async (): Promise<string[]> =>
      [...(await gateway.metrics()).values()].flatMap(({ samples }) => [...samples.keys()]);
    await made(0);
    // The question itself is counted, from the second one on.
    await series();
    const before = new Set(await series());
    assert.ok(![...before].some((one) => one.includes("made-up")));
    await made(1);
    assert.deepEqual(
      (await series()).filter((one) => !before.has(one)),
      [],
    );
  });
});

/** The labels of a series are those of its definition, in any order, beside a histogram's and a summary's own. */
function assertLabels(series: string, expected: readonly string[]): void {
  const names = [...series.matchAll(/[{,](\w+)="/g)].map(([, name]) => name!);
  const own = names.filter((name) => name !== "le" && name !== "quantile");
  assert.deepEqual(own, [...expected], series);
}
