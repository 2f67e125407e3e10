/** A whole gateway for integration tests: real sockets on free ports, real worker processes, a model folder of its own. */
import { cpSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { TestContext } from "node:test";
import { workerEntry } from "@spillway/worker";
import { startGateway, type RunningGateway } from "../../packages/gateway/src/app/gateway.ts";
import type { ConfigSource } from "../../packages/gateway/src/app/config-source.ts";
import type { GatewayConfig } from "../../packages/gateway/src/app/options.ts";
import type { Logger } from "../../packages/gateway/src/contracts/telemetry.ts";
import { systemClock, type Clock } from "../../packages/gateway/src/core/clock.ts";
import { createSystemRandom } from "../../packages/gateway/src/core/random.ts";
import type { DiscoverySpot } from "../../packages/gateway/src/endpoints/discovery.ts";
import { createMetrics } from "../../packages/gateway/src/telemetry/index.ts";
import { engineFolder, engineProgram } from "../../packages/gateway/src/workers/llama/engine-files.ts";
import { parseExposition, type ParsedFamily } from "./exposition.ts";
import { createHttpClient, type HttpClient } from "./http-client.ts";
import { isRunning } from "./processes.ts";
import { createRpcClient, type RpcClient } from "./rpc-client.ts";
import { until } from "./until.ts";

/** The repository's root folder. */
export const repositoryRoot = fileURLToPath(new URL("../../", import.meta.url));

const door = {
  host: "127.0.0.1",
  port: 0,
  maxBodyBytes: 64 * 2 ** 20,
  maxTotalBodyBytes: 256 * 2 ** 20,
  receiveTimeoutMs: 60_000,
  maxConnections: 10_000,
  tls: undefined,
};

/** A configuration that suits tests: free ports, no polling, quick restarts. */
export function testConfig(models: string): GatewayConfig {
  return {
    http: [door],
    grpc: door,
    access: { mode: "loopback", hosts: [], origins: [], keys: [], keysFile: undefined },
    flow: { maxQueue: 1_024, requestTimeoutMs: 30_000 },
    workers: {
      memoryLimitBytes: 2 ** 30,
      startTimeoutMs: 30_000,
      drainTimeoutMs: 5_000,
      backoffMs: { initial: 250, max: 5_000 },
    },
    repository: { directory: models, pollMs: 0, instances: {}, control: "all" },
    pools: [],
    routes: [],
    traits: plainRequests,
    rules: [],
    escalate: [],
    discovery: false,
    llama: undefined,
    edge: undefined,
    predict: { featuresModel: undefined, promptModel: undefined },
    monitoring: { grafana: undefined, prometheus: undefined },
    plugins: [],
    notes: [],
  };
}

/** Nothing is configured about what requests say of themselves. */
const plainRequests: GatewayConfig["traits"] = {
  objectives: new Map(),
  fairness: "header",
  session: { headers: ["x-session-token", "x-session-id"], cookie: undefined },
  trust: new Set(),
};

/** A model folder: `name` → `model.yaml` as text, or the name of a model of this repository to copy. */
export interface ModelFolder {
  readonly path: string;
  /** Writes `<name>/model.yaml` and an empty `<name>/<version>/`. */
  addMock(name: string, yaml: string, version?: string): void;
  /** Writes a file at once, as a rename of a finished one does. */
  write(file: string, contents: string | Uint8Array): void;
  /** Removes a file or folder. */
  remove(path: string): void;
  /** Copies a model that comes with the repository. */
  addBuiltin(name: string): void;
  /** Writes `<name>/<version>/model.onnx`. */
  addOnnx(
    name: string,
    bytes: Uint8Array,
    options?: { readonly version?: string; readonly yaml?: string },
  ): void;
}

/** Makes a model folder that goes away with the test. */
export function createModelFolder(test: Pick<TestContext, "after">): ModelFolder {
  const path = mkdtempSync(join(tmpdir(), "spillway-models-"));
  test.after(() => rmSync(path, { recursive: true, force: true }));
  const write = (file: string, contents: string | Uint8Array): void => {
    const target = join(path, file);
    mkdirSync(dirname(target), { recursive: true });
    // Files that start with a point are not looked at while they are written.
    const draft = join(path, ".draft");
    writeFileSync(draft, contents);
    renameSync(draft, target);
  };
  return {
    path,
    write,
    remove: (file) => rmSync(join(path, file), { recursive: true }),
    addMock(name, yaml, version = "1") {
      mkdirSync(join(path, name, version), { recursive: true });
      write(`${name}/model.yaml`, `engine: mock\n${yaml}\n`);
    },
    addBuiltin: (name) => cpSync(join(repositoryRoot, "models", name), join(path, name), { recursive: true }),
    addOnnx(name, bytes, { version = "1", yaml } = {}) {
      write(`${name}/${version}/model.onnx`, bytes);
      if (yaml !== undefined) write(`${name}/model.yaml`, yaml);
    },
  };
}

/** A line that the gateway logged. */
export interface LoggedEvent {
  readonly level: string;
  readonly event: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** A gateway under test. */
export interface TestGateway extends RunningGateway {
  /** `http://127.0.0.1:port`. */
  readonly url: string;
  /** `127.0.0.1:port`. */
  readonly grpc: string;
  readonly events: LoggedEvent[];
  /** POSTs JSON and reads the JSON that comes back. */
  post(path: string, body: unknown, headers?: Record<string, string>): Promise<JsonAnswer>;
  /** A client with connections of its own, at most 64 unless said otherwise; ends with the test. */
  client(options?: { readonly connections?: number }): HttpClient;
  /** A gRPC client that ends with the test. */
  rpc(): RpcClient;
  /** `/metrics`, read strictly. */
  metrics(): Promise<Map<string, ParsedFamily>>;
  /** Resolves when at least so many requests wait in the line of a model's version 1. */
  waiting(model: string, count: number): Promise<void>;
  /** Process ids of the workers of a deployment (`name/version` or `group:name`), from the log. */
  pids(deployment: string): number[];
}

/** A JSON answer. */
export interface JsonAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Record<string, unknown>;
}

/** What a test may set of the machine that its gateway sees. */
export interface TestMachine {
  readonly clock?: Clock;
  /** Where the edge endpoint keeps what it must not lose. */
  readonly dataFolder?: string;
  /** Where the configuration is read from again. */
  readonly source?: ConfigSource;
  /** Folder of the llama engine's library. */
  readonly library?: string;
  /** Where model servers are looked for; nowhere unless the configuration says `discovery`. */
  readonly discoverySpots?: readonly DiscoverySpot[];
}

/** Starts a gateway over a model folder and waits until every model and pool has come up or failed. Ends with the test. */
export async function startTestGateway(
  test: Pick<TestContext, "after">,
  config: GatewayConfig,
  { clock = systemClock, library = engineFolder, ...machine }: TestMachine = {},
): Promise<TestGateway> {
  const events: LoggedEvent[] = [];
  const running = await startGateway(config, {
    ...machine,
    version: "0.0.0-test",
    clock,
    random: createSystemRandom(),
    logger: collectingLogger(events),
    metrics: createMetrics(),
    workerProgram: workerEntry.href,
    llama: { program: engineProgram, library },
  });
  test.after(() => running.close({ graceMs: 0 }));
  await whenReady(running);
  const url = `http://127.0.0.1:${running.listening.http[0]?.port}`;
  const grpc = `127.0.0.1:${running.listening.grpc?.port}`;
  return {
    ...running,
    url,
    grpc,
    events,
    post: (path, body, headers) => postJson(url + path, body, headers),
    client(options) {
      const client = createHttpClient(url, options);
      test.after(() => client.close());
      return client;
    },
    rpc() {
      const client = createRpcClient(grpc);
      test.after(() => client.close());
      return client;
    },
    waiting: (model, count) =>
      until(`${count} requests wait for ${model}`, async () => {
        const text = await (await fetch(`${url}/metrics`)).text();
        const line = new RegExp(`^spillway_model_queue_requests{model="${model}",version="1"} (\\d+)$`, "m");
        return Number(line.exec(text)?.[1]) >= count;
      }).then(() => {}),
    metrics: async () => parseExposition(await (await fetch(`${url}/metrics`)).text()),
    pids: (deployment) => alivePids(events, deployment),
  };
}

function whenReady(running: RunningGateway): Promise<void> {
  return new Promise((resolve) => {
    const check = (): void => (running.catalog.ready() ? resolve() : undefined);
    running.onModelChange(check);
    check();
  });
}

function collectingLogger(events: LoggedEvent[]): Logger {
  const at =
    (level: string) =>
    (event: string, fields: Readonly<Record<string, unknown>> = {}): void =>
      void events.push({ level, event, fields });
  return { error: at("error"), warn: at("warn"), info: at("info"), debug: at("debug") };
}

/** Processes that came up, have not been reported as ended, and run: what is ended on purpose is not reported. */
function alivePids(events: readonly LoggedEvent[], deployment: string): number[] {
  const alive = new Set<number>();
  for (const { event, fields } of events) {
    if (!String(fields["worker"]).startsWith(`${deployment}#`)) continue;
    if (event === "worker_ready") alive.add(Number(fields["pid"]));
    if (event === "worker_ended") alive.delete(Number(fields["pid"]));
  }
  return [...alive].filter(isRunning);
}

async function postJson(
  url: string,
  body: unknown,
  headers: Record<string, string> = {},
): Promise<JsonAnswer> {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
  const text = await response.text();
  const parsed = text === "" ? {} : (JSON.parse(text) as Record<string, unknown>);
  return { status: response.status, headers: response.headers, body: parsed };
}
