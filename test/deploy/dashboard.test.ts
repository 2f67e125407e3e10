/** deploy/grafana: every query of the dashboards finds something in a Prometheus that scraped a gateway under load. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test, type TestContext } from "node:test";
import { parse } from "yaml";
import { startSimulator } from "@spillway/simulator";
import { metricDefinitions } from "../../packages/gateway/src/app/metric-definitions.ts";
import { createSecret, digestSecret, formatKey } from "../../packages/gateway/src/core/api-key.ts";
import { deviceToken, digit, startDigitCloud, whichDigit } from "../harness/edge-gateway.ts";
import { createModelFolder, repositoryRoot } from "../harness/gateway.ts";
import { startLoad } from "../harness/load.ts";
import { startModelServer } from "../harness/model-server.ts";
import { startPrometheus } from "../harness/prometheus.ts";
import { createRpcClient } from "../harness/rpc-client.ts";
import { startSpillway } from "../harness/spillway.ts";
import { until } from "../harness/until.ts";

interface Source {
  readonly type: string;
  readonly uid: string;
}

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly datasource?: Source;
  readonly gridPos: Readonly<Record<"x" | "y" | "w" | "h", number>>;
  readonly targets?: readonly { readonly expr: string; readonly datasource: Source }[];
}

interface Dashboard {
  readonly uid: string;
  readonly panels: readonly Panel[];
  readonly templating: {
    readonly list: readonly {
      readonly name: string;
      readonly datasource: Source;
      readonly definition: string;
    }[];
  };
}

const deploy = path.join(repositoryRoot, "deploy");
const read = (file: string): string => readFileSync(path.join(deploy, file), "utf8");
const dashboards = ["spillway", "picker"].map(
  (name) => JSON.parse(read(`grafana/dashboards/${name}.json`)) as Dashboard,
);
const queries = dashboards.flatMap(({ panels }) =>
  panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => ({ title, expr }))),
);
/** As dashboards and alerts that others made for the Endpoint Picker ask, by its older names. */
const foreignQueries = [
  "histogram_quantile(0.95, sum by (le) (rate(inference_objective_request_duration_seconds_bucket[$__rate_interval])))",
  "sum by (model_name, target_model_name) (rate(inference_objective_request_total[$__rate_interval]))",
  "sum by (error_code, model_name, target_model_name) (rate(inference_objective_request_error_total[$__rate_interval]))",
  "histogram_quantile(0.9, sum by (le) (rate(inference_objective_request_sizes_bucket[$__rate_interval])))",
  "histogram_quantile(0.9, sum by (le) (rate(inference_objective_response_sizes_bucket[$__rate_interval])))",
  "histogram_quantile(0.5, sum by (le) (rate(inference_objective_input_tokens_bucket[$__rate_interval])))",
  "histogram_quantile(0.5, sum by (le) (rate(inference_objective_output_tokens_bucket[$__rate_interval])))",
  "sum(inference_objective_running_requests)",
  "sum by (name) (inference_pool_average_kv_cache_utilization)",
  "sum by (name) (inference_pool_average_queue_size)",
  "sum by (model_server_pod) (inference_pool_per_pod_queue_size)",
  "inference_pool_ready_pods",
  "histogram_quantile(0.9, sum by (le) (rate(inference_extension_scheduler_e2e_duration_seconds_bucket[$__rate_interval])))",
  'sum by (pod_name) (rate(inference_extension_scheduler_attempts_total{status="success"}[$__rate_interval]))',
].map((expr) => ({ title: "by older names", expr }));

for (const dashboard of dashboards) {
  test(`${dashboard.uid}: panels lie beside each other, each with its own id, and ask the source that is provisioned`, () =>
    checkLayout(dashboard));
}

function checkLayout({ panels, templating }: Dashboard): void {
  assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
  const taken = new Map<string, string>();
  for (const { title, gridPos } of panels) {
    assert.ok(gridPos.x + gridPos.w <= 24, `${title} goes beyond the edge`);
    for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
      for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
        const other = taken.get(`${x} ${y}`);
        assert.equal(other, undefined, `${title} lies on ${other}`);
        taken.set(`${x} ${y}`, title);
      }
    }
  }
  const provisioned = parse(read("grafana/provisioning/datasources/prometheus.yml")) as {
    readonly datasources: readonly Source[];
  };
  const sources = [...panels, ...panels.flatMap(({ targets = [] }) => targets), ...templating.list];
  for (const { datasource } of sources) {
    if (datasource !== undefined)
      assert.deepEqual(
        provisioned.datasources.map(({ type, uid }) => ({ type, uid })),
        [datasource],
      );
  }
  for (const { type, title, targets } of panels) assert.ok(type === "row" || targets?.length, title);
}

test("every metric of a query is on the reference page", () => {
  const suffixes = ["", "_bucket", "_sum", "_count"];
  const known = new Set(
    metricDefinitions.flatMap(({ name, aliases = [] }) =>
      [name, ...aliases.map((alias) => alias.name)].flatMap((each) =>
        suffixes.map((suffix) => `${each}${suffix}`),
      ),
    ),
  );
  assert.ok(queries.length > 80);
  for (const { title, expr } of [...queries, ...foreignQueries]) {
    const names = expr.match(/\b(?:spillway|process|nodejs|llm_d_epp|inference_[a-z]+)_\w+/g) ?? [];
    for (const name of names) assert.ok(known.has(name), `${title}: ${name}`);
  }
});

/** A key for everything, and one with which a Prometheus may look. */
function makeKey(id: string, scopes: readonly string[]) {
  const secret = createSecret();
  return { key: formatKey(id, secret), entry: { id, scopes, secret: `sha256:${digestSecret(secret)}` } };
}

/** What the dashboard is asked of: every kind of pool, with everything that can happen. */
async function startWorld(t: TestContext, prometheus: string) {
  const folder = mkdtempSync(path.join(tmpdir(), "spillway-dashboard-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const models = createModelFolder(t);
  models.addMock("m", "batching: { maxBatch: 4 }\nmock: { latencyMs: 5, identity: true, width: 2 }");
  models.addBuiltin("digits");
  const cloud = { origin: (await startDigitCloud(t)).url, token: deviceToken };
  const remote = await startModelServer();
  t.after(() => remote.stop());
  const faults = [
    { path: "/v1/chat", cutBeforeHeaders: true, probability: 0.1 },
    { path: "/v1/chat", cutAfterEvents: 3, probability: 0.1 },
  ];
  const start = (model: string) =>
    startSimulator({ face: "vllm", models: [model], faults, answer: () => ({ outputTokens: 12 }) });
  const simulators = await Promise.all([start("llm"), start("llm")]);
  const picked = await Promise.all([start("picked"), start("picked")]);
  t.after(() => Promise.all(picked.map((each) => each.close())));
  t.after(() => Promise.all(simulators.map((each) => each.close())));
  const caller = makeKey("line-3", ["infer", "status"]);
  const scraper = makeKey("prometheus", ["status"]);
  const config = {
    listen: [{ port: 0 }],
    grpc: { port: 0 },
    auth: { keys: [caller.entry, scraper.entry] },
    models: { repository: models.path },
    pools: {
      chat: { dialect: "openai", endpoints: simulators.map(({ url }) => url) },
      picked: {
        dialect: "openai",
        endpoints: picked.map(({ url }) => url),
        metrics: "vllm",
        concurrency: 1,
        flow: {},
        scheduling: {
          profiles: { default: { scorers: [{ type: "queue", weight: 2 }, "prefix-cache"] } },
          shadows: { random: { scorers: ["kv-cache-utilization"], picker: "random" } },
        },
      },
      vision: { dialect: "kserve-grpc", endpoints: [`grpc://${remote.address}`] },
    },
    monitoring: { prometheus },
    edge: { cloud, defaults: { policy: "edge_answers_with_escalation" } },
  };
  const file = path.join(folder, "spillway.yaml");
  writeFileSync(file, JSON.stringify(config));
  const running = startSpillway(["serve", "--config", file], { cwd: folder });
  t.after(async () => {
    running.kill("SIGKILL");
    await running.ended;
  });
  const [, url = ""] = await running.printed(/http {4}(http:\S+)/);
  const [, grpc = ""] = await running.printed(/grpc {4}(?:grpc:\/\/)?(\S+)/i);
  await running.printed(/Ctrl-C stops\./);
  return { url, grpc, caller: caller.key, scraper: scraper.key };
}

type World = Awaited<ReturnType<typeof startWorld>>;

function post(
  { url, caller }: World,
  address: string,
  body: object,
  more: RequestInit = {},
): Promise<Response> {
  const headers = { "content-type": "application/json", authorization: `Bearer ${caller}` };
  return fetch(url + address, { method: "POST", headers, body: JSON.stringify(body), ...more });
}

function chat(
  world: World,
  stream: boolean,
  { model = "llm", signal }: { readonly model?: string; readonly signal?: AbortSignal } = {},
): Promise<Response> {
  const body = { model, stream, messages: [{ role: "user", content: "hello" }] };
  return post(world, "/v1/chat/completions", body, signal === undefined ? {} : { signal });
}

/** More requests at once than there are places. */
async function burst(world: World): Promise<void> {
  const ask = () => chat(world, false, { model: "picked" }).then((answer) => answer.text());
  await Promise.all([ask(), ask(), ask(), ask()]);
}

/** Asks for a stream and leaves it, at any time. */
async function leave(world: World): Promise<void> {
  const leaving = new AbortController();
  setTimeout(() => leaving.abort(), 15);
  await chat(world, true, { signal: leaving.signal }).then(
    (answer) => answer.text().catch(() => ""),
    () => "",
  );
}

/** An image query that no model is sure enough for, or one that it is. */
function look({ url, caller }: World, isUnsure: boolean): Promise<Response> {
  const address = `${url}/device-api/v1/image-queries?detector_id=${whichDigit}`;
  return fetch(isUnsure ? `${address}&confidence_threshold=1` : address, {
    method: "POST",
    headers: { "content-type": "image/png", authorization: `Bearer ${caller}` },
    body: new Uint8Array(digit(8)),
  });
}

/** Everything that callers do, again and again until stopped. */
function load(t: TestContext, world: World) {
  const rpc = createRpcClient(world.grpc);
  t.after(() => rpc.close());
  const metadata = { authorization: `Bearer ${world.caller}` };
  const infer = (model: string, inputs: object[]): Promise<Response> =>
    post(world, `/v2/models/${model}/infer`, { inputs });
  const numbers = { datatype: "FP32", shape: [1, 2], data: [1, 2] };
  const asks: (() => Promise<unknown>)[] = [
    () => chat(world, false).then((answer) => answer.text()),
    () => chat(world, true).then((answer) => answer.text()),
    () => burst(world),
    () => chat(world, true, { model: "picked" }).then((answer) => answer.text()),
    () => leave(world),
    () => infer("m", [{ name: "input", ...numbers }]).then((answer) => answer.text()),
    () => infer("double", [{ name: "x", ...numbers }]).then((answer) => answer.text()),
    () => infer("none", []).then((answer) => answer.text()),
    () => look(world, true).then((answer) => answer.text()),
    () => look(world, false).then((answer) => answer.text()),
    () =>
      fetch(`${world.url}/v1/models`, { headers: { authorization: "Bearer wrong" } }).then((answer) =>
        answer.text(),
      ),
    () => rpc.call("inference.GRPCInferenceService", "ServerLive", {}, { metadata }),
  ];
  return startLoad(8, async (turn) => {
    await asks[turn % asks.length]?.();
    await new Promise((resolve) => setTimeout(resolve, 5));
  });
}

interface Result {
  readonly status: string;
  readonly error?: string;
  readonly data: unknown;
}

/** Asks Prometheus through the gateway, as a browser would. */
async function ask(world: World, address: string, params: Record<string, string> = {}): Promise<unknown> {
  const answer = await fetch(
    `${world.url}/prometheus/api/v1/${address}?${new URLSearchParams(params).toString()}`,
    {
      headers: { authorization: `Bearer ${world.caller}` },
    },
  );
  const text = await answer.text();
  assert.ok(answer.ok, `${address}: ${answer.status} ${text}`);
  const { status, error, data } = JSON.parse(text) as Result;
  assert.equal(status, "success", error);
  return data;
}

/** How many series a query gives that have a number. */
async function found(world: World, expr: string): Promise<number> {
  const query = expr.replaceAll("$__rate_interval", "10s").replaceAll("$instance", ".*");
  const { result } = (await ask(world, "query", { query })) as {
    readonly result: readonly { readonly value: readonly [number, string] }[];
  };
  return result.filter(({ value }) => Number.isFinite(Number(value[1]))).length;
}

/** deploy/prometheus as it is, but for the pace, the address and the key. */
function scrapeConfig({ url, scraper }: World): object {
  const config = parse(read("prometheus/prometheus.yml")) as {
    readonly rule_files: readonly string[];
    readonly scrape_configs: readonly [{ readonly job_name: string }];
  };
  const [job] = config.scrape_configs;
  return {
    global: { scrape_interval: "250ms", scrape_timeout: "250ms", evaluation_interval: "500ms" },
    rule_files: config.rule_files.map((file) => path.join(deploy, "prometheus", file)),
    scrape_configs: [
      {
        ...job,
        static_configs: [{ targets: [new URL(url).host] }],
        authorization: { credentials: scraper },
      },
    ],
  };
}

test("every query finds something, asked through the gateway's port", { timeout: 120_000 }, async (t) => {
  const prometheus = await startPrometheus(t, {});
  if (prometheus === undefined) return;
  const world = await startWorld(t, prometheus.origin);
  await prometheus.reload(scrapeConfig(world));
  const running = load(t, world);
  for (const wanted of [queries, foreignQueries]) {
    const empty = new Set(wanted);
    const look = async (): Promise<boolean> => {
      for (const each of empty) if ((await found(world, each.expr)) > 0) empty.delete(each);
      return empty.size === 0;
    };
    // What comes about seldom takes a while: the limit is for what has not come a step further.
    for (let left = Infinity; empty.size > 0 && empty.size < left;) {
      left = empty.size;
      await until("further queries find something", async () => (await look()) || empty.size < left).catch(
        () => assert.deepEqual([...empty], []),
      );
    }
  }
  await running.stop();
  for (const { name, definition } of dashboards.flatMap(({ templating }) => templating.list)) {
    const [, match = "", label = ""] = /^label_values\((.+), (\w+)\)$/.exec(definition) ?? [];
    const values = (await ask(world, `label/${label}/values`, { "match[]": match })) as readonly string[];
    assert.deepEqual(values, [new URL(world.url).host], name);
  }
  await until("the alerts are evaluated", async () => {
    const { groups } = (await ask(world, "rules")) as {
      readonly groups: readonly {
        readonly rules: readonly { readonly name: string; readonly health: string }[];
      }[];
    };
    const rules = groups.flatMap((group) => group.rules);
    assert.ok(
      rules.every(({ health }) => health !== "err"),
      JSON.stringify(rules),
    );
    return rules.length === 5 && rules.every(({ health }) => health === "ok");
  });
});
