// Models that take features escalate to another model: when it is unsure, away or overloaded, and what must stay stays.
import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { status, type Server } from "@grpc/grpc-js";
import { inference } from "@spillway/protocol";
import { parseConfig } from "../../packages/gateway/src/config/with-plugins.ts";
import { startTestGateway, testConfig, type JsonAnswer, type TestGateway } from "../harness/gateway.ts";
import { serveMethods, type Answer } from "../harness/model-server.ts";
import { until } from "../harness/until.ts";

interface Predictor {
  readonly server: Server;
  readonly port: number;
  calls: number;
  say: () => Answer | Promise<Answer>;
}

const prediction =
  (classId: number, confidence: number): (() => Answer) =>
  () =>
    inference.PredictResponse.encode({ classId, confidence }).finish();

async function startPredictor(t: TestContext, say: Predictor["say"]): Promise<Predictor> {
  const predictor = { calls: 0, say };
  const { port, server } = await serveMethods(
    {
      "/inference.ModelInference/Predict": () => {
        predictor.calls++;
        return predictor.say();
      },
    },
    {},
  );
  t.after(() => server.forceShutdown());
  return Object.assign(predictor, { port, server });
}

interface Bench {
  readonly gateway: TestGateway;
  readonly small: Predictor;
  readonly large: Predictor;
}

async function startBench(t: TestContext, escalate: object = {}): Promise<Bench> {
  const small = await startPredictor(t, prediction(1, 0.9));
  const large = await startPredictor(t, prediction(2, 0.99));
  const pool = (name: string, { port }: Predictor): object => ({
    dialect: "model-inference",
    endpoints: [`grpc://127.0.0.1:${port}`],
    models: [name],
  });
  const text = {
    pools: { edge: pool("small", small), cloud: pool("large", large) },
    escalate: [{ model: "small", to: "large", ...escalate }],
  };
  const read = parseConfig(JSON.stringify(text), { directory: "/", environment: {} });
  assert.ok("config" in read, JSON.stringify(read));
  const { pools, escalate: rules } = read.config;
  const gateway = await startTestGateway(t, {
    ...testConfig(""),
    repository: undefined,
    pools,
    escalate: rules,
  });
  return { gateway, small, large };
}

const ask = ({ gateway }: Bench, headers: Record<string, string> = {}): Promise<JsonAnswer> =>
  gateway.post("/predict", { features: [1, 2], model_name: "small" }, headers);

function told({ status: code, headers, body }: JsonAnswer): readonly unknown[] {
  const names = ["x-spillway-answered-by", "x-spillway-escalation", "x-spillway-withheld"];
  return [code, body["class_id"], ...names.map((name) => headers.get(name))];
}

async function counted({ gateway }: Bench): Promise<readonly string[]> {
  const text = await (await fetch(`${gateway.url}/metrics`)).text();
  return text.split("\n").filter((line) => line.startsWith("spillway_escalations_total{"));
}

const count = (reason: string, outcome: string, value = 1): string =>
  `spillway_escalations_total{route="small",reason="${reason}",outcome="${outcome}"} ${value}`;

const failing = (): Answer => ({ code: status.INTERNAL, details: "broken" });

describe("a model that takes features", () => {
  it("is given where it is sure, and another is asked where it is not", async (t) => {
    const bench = await startBench(t, { when: { confidence: 0.8 } });
    assert.deepEqual(told(await ask(bench)), [200, 1, "edge", null, null]);
    assert.equal(bench.large.calls, 0);
    bench.small.say = prediction(1, 0.7);
    const answer = await ask(bench);
    assert.deepEqual(told(answer), [200, 2, "cloud", "confidence", null]);
    assert.equal(answer.body["model_name"], "large");
    assert.deepEqual(await counted(bench), [count("confidence", "answered")]);
  });

  it("answers in KServe v1's words too", async (t) => {
    const bench = await startBench(t, { when: { confidence: 0.8 } });
    bench.small.say = prediction(1, 0.7);
    const answer = await bench.gateway.post("/v1/models/small:predict", { instances: [[1, 2]] });
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
    assert.equal(answer.headers.get("x-spillway-escalation"), "confidence");
    assert.equal(bench.large.calls, 1);
  });

  it("keeps its answer where the other fails or must not be asked", async (t) => {
    const bench = await startBench(t, { when: { confidence: 0.8 }, budget: { perMinute: 1 } });
    bench.small.say = prediction(1, 0.7);
    bench.large.say = failing;
    assert.deepEqual(told(await ask(bench, { "x-spillway-privacy": "local" })), [
      200,
      1,
      "edge",
      "confidence",
      "privacy",
    ]);
    assert.deepEqual(told(await ask(bench)), [200, 1, "edge", "confidence", "cloud_failed"]);
    assert.deepEqual(told(await ask(bench)), [200, 1, "edge", "confidence", "budget"]);
    assert.equal(bench.large.calls, 1);
    assert.deepEqual([...(await counted(bench))].toSorted(), [
      count("confidence", "kept"),
      count("confidence", "withheld", 2),
    ]);
  });

  it("is replaced where it fails, and says so where both do", async (t) => {
    const bench = await startBench(t);
    bench.small.say = failing;
    assert.deepEqual(told(await ask(bench)), [200, 2, "cloud", "offline", null]);
    bench.large.say = failing;
    const answer = await ask(bench);
    assert.ok(answer.status >= 500);
    assert.match(JSON.stringify(answer.body), /failed too/);
    assert.deepEqual(told(answer).slice(3), ["offline", "cloud_failed"]);
  });

  it("is left after the longest wait, and for who asks for it", async (t) => {
    const bench = await startBench(t, { when: { overload: "100ms" } });
    const held: (() => void)[] = [];
    bench.small.say = () => new Promise((resolve) => void held.push(() => resolve(prediction(1, 0.9)())));
    const first = ask(bench);
    await until("the model is asked", () => held.length === 1);
    // One may be sent ahead to the server; the others wait in line.
    const left: (readonly unknown[])[] = [];
    const others = Array.from({ length: 4 }, () => ask(bench).then((answer) => void left.push(told(answer))));
    await until("those in line have left it", () => left.length >= 3);
    for (const each of left) assert.deepEqual(each, [200, 2, "cloud", "overload", null]);
    bench.small.say = prediction(1, 0.9);
    for (const end of held) end();
    await Promise.all(others);
    assert.deepEqual(told(await first), [200, 1, "edge", null, null]);
    assert.deepEqual(told(await ask(bench, { "x-spillway-escalate": "always" })), [
      200,
      2,
      "cloud",
      "asked",
      null,
    ]);
  });
});

it("a caller who leaves calls the second question off", async (t) => {
  const bench = await startBench(t, { when: { confidence: 0.8 } });
  bench.small.say = prediction(1, 0.7);
  bench.large.say = () => new Promise(() => undefined);
  const leaving = new AbortController();
  const asked = fetch(`${bench.gateway.url}/predict`, {
    method: "POST",
    body: JSON.stringify({ features: [1, 2], model_name: "small" }),
    headers: { "content-type": "application/json" },
    signal: leaving.signal,
  });
  await until("the other model is asked", () => bench.large.calls === 1);
  leaving.abort();
  await assert.rejects(asked);
  await until("it is counted", async () => (await counted(bench))[0] === count("confidence", "client_gone"));
  bench.large.say = prediction(2, 0.99);
  assert.deepEqual(told(await ask(bench)), [200, 2, "cloud", "confidence", null]);
});
