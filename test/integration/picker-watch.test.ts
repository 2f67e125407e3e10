/** A pool with scheduling of its own, seen from outside: upstream's series, explained decisions, the picker's state, shadows. */
import assert from "node:assert/strict";
import { describe, test, type TestContext } from "node:test";
import { presets, startSimulator } from "@spillway/simulator";
import { metricDefinitions } from "../../packages/gateway/src/app/metric-definitions.ts";
import { defaultHttpPool } from "../../packages/gateway/src/config/index.ts";
import type { SchedulingSpec } from "../../packages/gateway/src/contracts/plugins/scheduling.ts";
import { startTestGateway, testConfig, type TestGateway } from "../harness/gateway.ts";
import { until } from "../harness/until.ts";

const tokens = 20;

const profile = (name: string, prefix: number) => ({
  name,
  filters: [],
  scorers: [
    { plugin: "queue-scorer", weight: 2 },
    { plugin: "prefix-cache-scorer", weight: prefix },
  ],
  picker: "max-score-picker",
});

const types = ["queue-scorer", "prefix-cache-scorer", "max-score-picker", "single-profile-handler"];
const scheduling: SchedulingSpec = {
  plugins: types.map((type) => ({ name: type, type, parameters: {} })),
  profiles: [profile("default", 3)],
  handler: "single-profile-handler",
  shadows: [profile("more-prefix", 30)],
};

/** Two simulated servers in a pool with profiles, or in one without. */
async function setUp(t: TestContext, isPicked: boolean) {
  const engine = { ...presets.vllmQwen7b.engine, stepMs: 2 };
  const start = () =>
    startSimulator({ face: "vllm", models: ["m"], engine, answer: () => ({ outputTokens: tokens }) });
  const simulators = await Promise.all([start(), start()]);
  t.after(() => Promise.all(simulators.map((each) => each.close())));
  const pool = defaultHttpPool(
    "chat",
    "openai",
    simulators.map(({ url }) => url),
  );
  const gateway = await startTestGateway(t, {
    ...testConfig(""),
    repository: undefined,
    pools: [isPicked ? { ...pool, scheduling } : pool],
  });
  return { gateway, addresses: simulators.map(({ url }) => new URL(url).host) };
}

function chat(
  { url }: TestGateway,
  stream: boolean,
  headers: Record<string, string> = {},
): Promise<Response> {
  const content = `${"You are a helpful assistant. ".repeat(40)} hello`;
  return fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify({ model: "m", stream, messages: [{ role: "user", content }] }),
  });
}

async function ask(gateway: TestGateway, path: string): Promise<Record<string, unknown>> {
  const answer = await fetch(`${gateway.url}${path}`);
  assert.equal(answer.status, 200, path);
  return (await answer.json()) as Record<string, unknown>;
}

describe("a pool with scheduling of its own", () => {
  test("has upstream's series, decisions that can be told, and a shadow beside", async (t) => {
    const { gateway, addresses } = await setUp(t, true);
    const shadowsOf = async () =>
      (await ask(gateway, "/admin/shadows"))["shadows"] as Record<string, unknown>[];
    await until("the shadow runs", async () => (await shadowsOf())[0]?.["state"] === "running");
    const tenant = { "x-llm-d-inference-fairness-id": "tenant-1", "x-request-id": "explain-me" };
    await (await chat(gateway, true, tenant)).text();
    for (let i = 0; i < 5; i++) await (await chat(gateway, false)).text();
    const families = await gateway.metrics();
    const samples = new Map([...families.values()].flatMap((family) => [...family.samples]));
    const m = 'model_name="m",target_model_name="m",fairness_id="tenant-1",priority="0"';
    for (const [series, value] of [
      [`llm_d_epp_request_total{${m}}`, 1],
      [`llm_d_epp_request_running{${m}}`, 0],
      [`llm_d_epp_request_output_tokens_sum{${m}}`, tokens],
      [`llm_d_epp_request_ttft_seconds_count{${m},streaming="true"}`, 1],
      [`llm_d_epp_request_streaming_tpot_seconds_count{${m}}`, 1],
      ['inference_objective_request_total{model_name="m",target_model_name="m",priority="0"}', 6],
      ['inference_objective_output_tokens_sum{model_name="m",target_model_name="m"}', 6 * tokens],
      ['inference_pool_ready_pods{name="chat"}', 2],
      ["llm_d_epp_scheduler_e2e_duration_seconds_count", 6],
    ] as const) {
      assert.equal(samples.get(series), value, series);
    }
    for (const name of ["llm_d_epp_request_size_bytes", "llm_d_epp_response_size_bytes"])
      assert.ok((samples.get(`${name}_sum{${m}}`) ?? 0) > 500, name);
    const attempts = [...samples].filter(([series]) =>
      series.startsWith("llm_d_epp_scheduler_attempts_total"),
    );
    assert.equal(
      attempts.reduce((sum, [, value]) => sum + value, 0),
      6,
    );
    const listed = new Set(
      metricDefinitions.flatMap(({ name, aliases = [] }) => [name, ...aliases.map((alias) => alias.name)]),
    );
    for (const name of families.keys()) assert.ok(listed.has(name), name);

    const told = await ask(gateway, "/admin/decisions/explain-me");
    const [cycle = {}] = told["scheduling"] as Record<string, unknown>[];
    const [run] = cycle["profiles"] as { endpoints: Record<string, unknown>[]; picked: string[] }[];
    assert.deepEqual(
      run?.endpoints.map(({ endpoint }) => endpoint).toSorted(),
      addresses.map((address) => `chat/${address}`).toSorted(),
    );
    assert.deepEqual(run.picked.slice(0, 1), [told["endpoint"]]);
    assert.deepEqual(Object.keys(run.endpoints[0]?.["scores"] ?? {}), [
      "queue-scorer",
      "prefix-cache-scorer",
    ]);

    await until("all are compared", async () => {
      const results = (await shadowsOf())[0]?.["results"] as Record<string, number>;
      return (results["agree"] ?? 0) + (results["disagree"] ?? 0) === 6;
    });
    const { pools } = (await ask(gateway, "/admin/picker")) as { pools: Record<string, unknown>[] };
    assert.equal(pools[0]?.["name"], "chat");
    assert.equal((pools[0]["endpoints"] as unknown[]).length, 2);
  });

  test("is the only kind with these series: others have none of them", async (t) => {
    const { gateway } = await setUp(t, false);
    await (await chat(gateway, false)).text();
    const names = [...(await gateway.metrics()).keys()];
    assert.deepEqual(
      names.filter((name) => /^(llm_d_epp|inference_|spillway_shadow)/.test(name)),
      [],
    );
    assert.deepEqual(await ask(gateway, "/admin/picker"), { pools: [] });
    assert.deepEqual(await ask(gateway, "/admin/shadows"), { shadows: [] });
  });
});
