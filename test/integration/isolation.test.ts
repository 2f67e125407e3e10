/** Models beside each other: one that is slow, computes, dies or gets enormous requests is nobody else's trouble. */
import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import {
  createModelFolder,
  startTestGateway,
  testConfig,
  type JsonAnswer,
  type TestGateway,
} from "../harness/gateway.ts";
import { startLoad } from "../harness/load.ts";
import { until } from "../harness/until.ts";

/** What the slow model takes for a call, ms; far above what a fast answer takes even on a busy machine. */
const slowMs = 400;

interface Setup {
  readonly gateway: TestGateway;
  readonly askSlow: () => Promise<JsonAnswer>;
  readonly askFast: () => Promise<JsonAnswer>;
}

/** A fast model and another beside it. */
async function setup(
  test: TestContext,
  { slow, group, flow = {} }: { slow: string; group?: string; flow?: object },
): Promise<Setup> {
  const models = createModelFolder(test);
  const shared = group === undefined ? "" : `\ngroup: ${group}`;
  models.addMock("slow", `batching: { maxBatch: 1 }\nmock: ${slow}${shared}`);
  models.addMock("fast", `mock: { identity: true, width: 4 }${shared}`);
  const config = testConfig(models.path);
  const gateway = await startTestGateway(test, { ...config, flow: { ...config.flow, ...flow } });
  const ask = (model: string) => (): Promise<JsonAnswer> =>
    gateway.post(`/v1/models/${model}:predict`, { instances: [[1, 2, 3, 4]] });
  return { gateway, askSlow: ask("slow"), askFast: ask("fast") };
}

/** Times of answers to one caller that asks again and again while `busy` goes on, ms; the median. */
async function medianOfFast(askFast: Setup["askFast"], count = 40): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < count; i++) {
    const started = performance.now();
    const { status, body } = await askFast();
    assert.deepEqual([status, body["predictions"]], [200, [[1, 2, 3, 4]]]);
    times.push(performance.now() - started);
  }
  return times.toSorted((a, b) => a - b)[count >> 1]!;
}

describe("a fast model", () => {
  for (const [what, slow] of [
    ["waits", `{ latencyMs: ${slowMs} }`],
    ["computes", `{ busyMs: ${slowMs} }`],
  ] as const) {
    it(`is not held up by one that ${what}`, async (test) => {
      const { gateway, askSlow, askFast } = await setup(test, { slow });
      const load = startLoad(4, askSlow);
      await gateway.waiting("slow", 1);
      const median = await medianOfFast(askFast);
      assert.ok(median < slowMs / 4, `the median answer took ${median} ms`);
      const answers = await load.stop();
      assert.ok(answers.length > 0 && answers.every(({ status }) => status === 200));
    });
  }

  it("would be, in one process with it: this is what the bound is to be compared with", async (test) => {
    const { gateway, askSlow, askFast } = await setup(test, { slow: `{ busyMs: ${slowMs} }`, group: "one" });
    const load = startLoad(3, askSlow);
    await gateway.waiting("slow", 1);
    const median = await medianOfFast(askFast, 3);
    assert.ok(median > slowMs / 4, `the median answer took ${median} ms`);
    await load.stop();
  });

  it("is not refused when the line of the other is full", async (test) => {
    const { gateway, askSlow, askFast } = await setup(test, {
      slow: `{ latencyMs: ${slowMs} }`,
      flow: { maxQueue: 2 },
    });
    const load = startLoad(16, askSlow);
    await until("the other refuses", () => load.answers.some(({ status }) => status === 503));
    await medianOfFast(askFast, 10);
    await load.stop();
    assert.equal(gateway.catalog.isReady("slow", undefined), true);
  });

  it("does not notice that the other dies again and again", async (test) => {
    const { gateway, askSlow, askFast } = await setup(test, { slow: "{ crashRate: 1 }" });
    const [pid] = gateway.pids("fast/1");
    const load = startLoad(4, askSlow);
    await until("it has died several times", () => {
      const deaths = gateway.events.filter(({ event }) => event === "worker_ended");
      return deaths.length >= 3;
    });
    const median = await medianOfFast(askFast);
    assert.ok(median < slowMs / 4, `the median answer took ${median} ms`);
    for (const { status, body } of await load.stop()) {
      // Killed twice with it, or refused while restarts back off.
      assert.ok(status === 500 || status === 503, String(status));
      assert.match(String(body["error"]), /died on this request twice|no running instance/);
    }
    assert.deepEqual(gateway.pids("fast/1"), [pid]);
  });

  it("is not held up by a request of megabytes of JSON", async (test) => {
    const models = createModelFolder(test);
    models.addMock("m", "mock: { identity: true, width: -1 }");
    models.addMock("fast", "mock: { identity: true, width: 4 }");
    const gateway = await startTestGateway(test, testConfig(models.path));
    const width = 500_000;
    const data = Array.from({ length: width }, (_, i) => i + 0.5);
    const input = { name: "input", datatype: "FP32", shape: [1, width], data };
    const body = Buffer.from(JSON.stringify({ inputs: [input] }));
    const http = gateway.client();
    const load = startLoad(1, () => http.ask({ path: "/v2/models/m/infer", body }));
    const askFast = (): Promise<JsonAnswer> =>
      gateway.post("/v1/models/fast:predict", { instances: [[1, 2, 3, 4]] });
    await until("the first is through", () => load.answers.length > 0);
    const median = await medianOfFast(askFast);
    assert.ok(median < slowMs / 4, `the median answer took ${median} ms`);
    const answers = await load.stop();
    assert.deepEqual((answers.at(-1)!.json["outputs"] as [{ data: number[] }])[0].data, data);
  });
});
