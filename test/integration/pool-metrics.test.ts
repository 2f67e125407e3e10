/** `/metrics` about pools: of servers that speak HTTP, in agreement with what was sent, and of those that speak gRPC. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { presets, startSimulator, type SimulatorOptions } from "@spillway/simulator";
import { metricDefinitions } from "../../packages/gateway/src/app/metric-definitions.ts";
import { defaultHttpPool } from "../../packages/gateway/src/config/index.ts";
import { startTestGateway, testConfig, type TestGateway } from "../harness/gateway.ts";
import { startModelServer } from "../harness/model-server.ts";
import { until } from "../harness/until.ts";

const model = "m";
const tokens = 40;

/** A gateway with one pool `chat` over a simulated vLLM that takes 5 ms for a token. */
async function setup(t: TestContext, options: Partial<SimulatorOptions> = {}) {
  const engine = { ...presets.vllmQwen7b.engine, stepMs: 5 };
  const answer = () => ({ outputTokens: tokens });
  const simulator = await startSimulator({ face: "vllm", models: [model], engine, answer, ...options });
  t.after(() => simulator.close());
  const gateway = await startTestGateway(t, {
    ...testConfig(""),
    repository: undefined,
    pools: [defaultHttpPool("chat", "openai", [simulator.url])],
  });
  return { gateway, simulator, endpoint: new URL(simulator.url).host };
}

function chat(gateway: TestGateway, stream: boolean, signal?: AbortSignal): Promise<Response> {
  return fetch(`${gateway.url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model, stream, messages: [{ role: "user", content: "hello there" }] }),
    ...(signal === undefined ? {} : { signal }),
  });
}

/** Values by series. */
async function samplesOf(gateway: TestGateway): Promise<ReadonlyMap<string, number>> {
  const families = await gateway.metrics();
  return new Map([...families.values()].flatMap(({ samples }) => [...samples]));
}

test("requests, streams and tokens of a pool are those that were sent", async (t) => {
  const { gateway, endpoint } = await setup(t);
  for (let i = 0; i < 3; i++) assert.equal((await chat(gateway, false)).status, 200);
  const start = performance.now();
  for (let i = 0; i < 2; i++) assert.match(await (await chat(gateway, true)).text(), /\[DONE\]/);
  const streamingSeconds = (performance.now() - start) / 1e3;
  const samples = await samplesOf(gateway);
  const of = (series: string): number | undefined => samples.get(`spillway_${series}`);
  const at = `pool="chat",endpoint="${endpoint}"`;
  const through = 'pool="chat",model="m"';
  assert.equal(of(`forward_requests_total{${through},outcome="ok"}`), 5);
  assert.equal(of('forward_streams_total{pool="chat",outcome="ok"}'), 2);
  assert.equal(of('forward_open_streams{pool="chat"}'), 0);
  assert.equal(of(`forward_tokens_total{${through},kind="completion",source="server"}`), 5 * tokens);
  assert.equal(of(`forward_time_to_first_token_seconds_count{${through}}`), 5);
  assert.equal(of(`forward_time_per_output_token_seconds_count{${through}}`), 2);
  const gaps = of(`forward_time_per_output_token_seconds_sum{${through}}`) ?? 0;
  assert.ok(
    gaps > 0 && gaps * (tokens - 1) < streamingSeconds,
    `${gaps} s a token, ${streamingSeconds} s in all`,
  );
  assert.equal(of(`endpoint_attempts_total{${at},result="ok"}`), 5);
  assert.equal(of(`endpoint_state{${at},state="ready"}`), 1);
  assert.equal(of(`endpoint_models{${at},state="listed"}`), 1);
  assert.equal(of('pool_ready_endpoints{pool="chat"}'), 1);
  assert.equal(of('pool_queue_requests{pool="chat"}'), 0);
  const listed = new Set(metricDefinitions.map(({ name }) => name));
  const unlisted = [...(await gateway.metrics()).keys()].filter((name) => !listed.has(name));
  assert.deepEqual(unlisted, [], "every family is on the reference page");
});

test("streams that break and callers that leave are told apart from those that end well", async (t) => {
  const { gateway } = await setup(t, { faults: [{ times: 1, cutAfterEvents: 5, path: "/v1/chat" }] });
  await assert.doesNotReject(chat(gateway, true).then((response) => response.text()));
  const leaving = new AbortController();
  const answer = await chat(gateway, true, leaving.signal);
  await answer.body?.getReader().read();
  assert.equal((await samplesOf(gateway)).get('spillway_forward_open_streams{pool="chat"}'), 1);
  leaving.abort();
  const samples = await until("the departure is seen", async () => {
    const now = await samplesOf(gateway);
    return now.get('spillway_forward_open_streams{pool="chat"}') === 0 && now;
  });
  const ended = (outcome: string): number | undefined =>
    samples.get(`spillway_forward_streams_total{pool="chat",outcome="${outcome}"}`);
  assert.equal(ended("ok"), 0);
  assert.equal(ended("client_gone"), 1);
  const broken = [...samples].filter(
    ([series, value]) => /streams_total.*outcome="(?!ok|client_gone)/.test(series) && value === 1,
  );
  assert.equal(broken.length, 1);
});

test("what callers make up makes no series", async (t) => {
  const { gateway } = await setup(t);
  const ask = (round: number): Promise<unknown> =>
    Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        gateway.post("/v1/chat/completions", { model: `made-up-${round}-${i}`, messages: [] }),
      ),
    );
  await ask(0);
  await samplesOf(gateway);
  const before = await samplesOf(gateway);
  await ask(1);
  const after = await samplesOf(gateway);
  assert.deepEqual(
    [...after.keys()].filter((series) => !before.has(series) || series.includes("made-up")),
    [],
  );
});

test("servers of a pool over gRPC are counted by state", async (t) => {
  const server = await startModelServer();
  t.after(() => server.stop());
  const gateway = await startTestGateway(t, {
    ...testConfig(""),
    repository: undefined,
    pools: [
      {
        name: "workers",
        dialect: "kserve-grpc",
        endpoints: [`grpc://${server.address}`, "grpc://127.0.0.1:1"],
        models: [],
        maxBatch: 1,
        concurrency: 1,
        timeoutMs: 5_000,
        ca: undefined,
      },
    ],
  });
  const counts = async (): Promise<(number | undefined)[]> => {
    const samples = await samplesOf(gateway);
    return ["connecting", "ready", "unready", "waiting"].map((state) =>
      samples.get(`spillway_grpc_pool_servers{pool="workers",state="${state}"}`),
    );
  };
  await until("one is ready and one cannot be reached", async () => {
    const [connecting, ready, unready, waiting] = await counts();
    return connecting === 0 && ready === 1 && unready === 0 && waiting === 1;
  });
});
