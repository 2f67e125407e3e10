/** Starts the gateway under test as its users do, and reads what it says about itself. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { LoopDelay } from "../load/loop-delay.ts";
import type { BenchModels } from "./bench-models.ts";
import { fetchMetrics, findMetric } from "./prometheus.ts";
import { freePort, ServerProcess } from "./serve.ts";
import type { Address } from "./serve.ts";
import { WorkerEvents } from "./worker-events.ts";

/** How the gateway is started. */
export interface GatewayOptions {
  /** Working folder, made when it is not there. */
  readonly directory: string;
  /** Default: the built-in configuration with the models that come with Spillway. */
  readonly models?: BenchModels;
  /** A whole configuration instead, as it would stand in `spillway.yaml`; ports are given on the command line. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Sent with every request of the harness itself, where the configuration has keys. */
  readonly authorization?: string;
  /** The Node that runs it and its workers. Default: the one that the lockfile installs. */
  readonly node?: string;
  /** Added to this process's environment. */
  readonly env?: Readonly<Record<string, string>>;
}

/** A running gateway, ready with all its models. */
export interface Gateway {
  readonly server: ServerProcess;
  /** What became of its worker processes. */
  readonly workers: WorkerEvents;
}

const HOST = "127.0.0.1";

/**
 * `spillway serve` with HTTP and gRPC doors, metrics and logs as they are by default, resolved when every model is
 * ready. The caller closes the server.
 */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const { directory } = options;
  await mkdir(directory, { recursive: true });
  const address = { host: HOST, port: await freePort() };
  const args = ["serve", "--port", String(address.port), "--grpc-port", String(await freePort())];
  const workers = new WorkerEvents();
  const server = await ServerProcess.start({
    name: "gateway",
    script: "packages/gateway/src/cli/main.ts",
    args: [...args, "--log-format", "json", ...(await configArguments(options))],
    cwd: directory,
    ...(options.node === undefined ? {} : { node: options.node }),
    ...(options.env === undefined ? {} : { env: options.env }),
    ready: { kind: "http", address, path: "/health/ready" },
    loopDelay: (at) => gatewayLoopDelay(at, options.authorization),
    onLine: (line) => workers.read(line),
  });
  return { server, workers };
}

/** Starts a gateway, uses it and closes it, whatever happens. */
export async function withGateway<Result>(
  options: GatewayOptions,
  use: (gateway: Gateway) => Promise<Result>,
): Promise<Result> {
  const gateway = await startGateway(options);
  try {
    return await use(gateway);
  } finally {
    await gateway.server.close();
  }
}

/** URL of a path of a server. */
export function urlOf(address: Address, path: string): string {
  return `http://${address.host}:${address.port}${path}`;
}

/** The configuration lies in the gateway's folder. JSON is YAML. */
async function configArguments({ directory, models, config }: GatewayOptions): Promise<string[]> {
  const written =
    config ??
    (models === undefined
      ? undefined
      : { models: { repository: models.directory, instances: models.instances } });
  if (written === undefined) return [];
  const file = join(directory, "bench.yaml");
  await writeFile(file, `${JSON.stringify(written, null, 2)}\n`);
  return ["--config", file];
}

/** Quantiles are of at least the last 10 s, the mean is of the gateway's life. */
async function gatewayLoopDelay(
  address: Address,
  authorization: string | undefined,
): Promise<LoopDelay | null> {
  const samples = await fetchMetrics(urlOf(address, "/metrics"), authorization);
  const family = "nodejs_eventloop_delay_seconds";
  const quantileMs = (quantile: string): number | undefined => {
    const seconds = findMetric(samples, family, { quantile });
    return seconds === undefined ? undefined : seconds * 1000;
  };
  const [p50Ms, p99Ms, maxMs] = [quantileMs("0.5"), quantileMs("0.99"), quantileMs("1")];
  if (p50Ms === undefined || p99Ms === undefined || maxMs === undefined) return null;
  const sum = findMetric(samples, `${family}_sum`) ?? 0;
  const count = findMetric(samples, `${family}_count`) ?? 0;
  return { meanMs: (sum / Math.max(1, count)) * 1000, p50Ms, p99Ms, maxMs };
}
