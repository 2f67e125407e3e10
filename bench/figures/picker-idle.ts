/** What reading the metrics of many servers costs the gateway while nobody asks for anything. */
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { digits, megabytes, runsRow, scaledCount, scaledMs } from "../harness/figure.ts";
import type { Figure, FigureContext, FigureResult } from "../harness/figure.ts";
import { urlOf, withGateway } from "../harness/gateway.ts";
import type { Gateway } from "../harness/gateway.ts";
import { ProcessWatch } from "../harness/processes.ts";
import type { ProcessReport } from "../harness/processes.ts";
import { fetchMetrics } from "../harness/prometheus.ts";
import { ServerProcess } from "../harness/serve.ts";
import { spreadOf } from "../harness/spread.ts";
import { parameterOf, readWorkload } from "../harness/workload.ts";
import type { Workload } from "../harness/workload.ts";
import type { LoopDelay } from "../load/loop-delay.ts";

const MAX_CORE = 0.25;

export const figure: Figure = {
  id: "picker-idle",
  title: "idle, 100 endpoints scraped every 100 ms, whole pages of vLLM's (60 KB)",
  target: "at most 25 % of a core",
  run,
};

/** One gateway from its start through its window. */
interface Run {
  /** CPU time of the gateway over the time of the window. */
  readonly core: number;
  /** Pages a second, and those that did not come. */
  readonly pages: number;
  readonly failed: number;
  readonly windowMs: number;
  readonly gateway: ProcessReport;
  readonly servers: ProcessReport;
  readonly loopDelay: LoopDelay | null;
}

async function run(context: FigureContext): Promise<FigureResult> {
  const workload = await readWorkload("picker-idle");
  await mkdir(context.directory, { recursive: true });
  const portsFile = join(context.directory, "ports.json");
  const count = parameterOf(workload, "endpoints");
  const servers = await ServerProcess.start({
    name: "servers",
    script: "bench/reference/metrics-servers.ts",
    args: [String(count), portsFile],
    ready: { kind: "message" },
  });
  try {
    const ports = JSON.parse(await readFile(portsFile, "utf8")) as number[];
    await checkPage(ports[0] ?? 0, parameterOf(workload, "leastPageBytes"));
    const runs: Run[] = [];
    for (let round = 1; round <= scaledCount(parameterOf(workload, "runs"), context.scale); round += 1) {
      const options = {
        directory: join(context.directory, `run-${round}`),
        config: configOf(workload, ports),
      };
      const one = await withGateway(options, (gateway) => measure(workload, { gateway, servers }, context));
      context.log(`run ${round}: ${describe(one)}`);
      runs.push(one);
    }
    return judge(runs, count * (1_000 / parameterOf(workload, "intervalMs")));
  } finally {
    await servers.close();
  }
}

/** The gateway with one pool, and neither models nor keys. */
function configOf(workload: Workload, ports: readonly number[]): Readonly<Record<string, unknown>> {
  return {
    models: false,
    predict: { features: false, prompt: false },
    discovery: false,
    pools: {
      fleet: {
        dialect: "openai",
        endpoints: ports.map((port) => `http://127.0.0.1:${port}`),
        passthrough: true,
        metrics: { engine: "vllm", interval: `${parameterOf(workload, "intervalMs")}ms` },
      },
    },
  };
}

async function checkPage(port: number, leastBytes: number): Promise<void> {
  const response = await fetch(`http://127.0.0.1:${port}/metrics`);
  const { length } = await response.text();
  if (length < leastBytes) throw new Error(`expected pages of ${leastBytes} bytes, got ${length}`);
}

async function measure(
  workload: Workload,
  { gateway, servers }: { readonly gateway: Gateway; readonly servers: ServerProcess },
  { scale }: FigureContext,
): Promise<Run> {
  const { server } = gateway;
  await sleep(scaledMs(parameterOf(workload, "settleMs"), scale));
  await server.resetLoopDelay();
  const before = await countPages(gateway);
  const watch = new ProcessWatch({ roots: { gateway: server.pid, servers: servers.pid }, intervalMs: 1_000 });
  const startMs = performance.now();
  await sleep(scaledMs(parameterOf(workload, "measureMs"), scale));
  const reports = watch.close();
  const windowMs = performance.now() - startMs;
  const after = await countPages(gateway);
  const of = (pid: number): ProcessReport => {
    const found = reports.find((report) => report.pid === pid);
    if (found === undefined) throw new Error(`process ${pid} was not watched`);
    return found;
  };
  const own = of(server.pid);
  return {
    core: own.cpuMs / windowMs,
    pages: ((after.ok - before.ok) / (after.atMs - before.atMs)) * 1_000,
    failed: after.failed - before.failed,
    windowMs,
    gateway: own,
    servers: of(servers.pid),
    loopDelay: await server.loopDelay(),
  };
}

/** Pages so far, by whether they came, and when that was. */
interface PageCount {
  readonly ok: number;
  readonly failed: number;
  readonly atMs: number;
}

async function countPages({ server }: Gateway): Promise<PageCount> {
  const samples = await fetchMetrics(urlOf(server.address, "/metrics"));
  const pages = samples.filter(({ name }) => name === "spillway_endpoint_scrapes_total");
  const sum = (isOk: boolean): number =>
    pages
      .filter(({ labels }) => (labels["result"] === "ok") === isOk)
      .reduce((total, { value }) => total + value, 0);
  return { ok: sum(true), failed: sum(false), atMs: performance.now() };
}

function judge(runs: readonly Run[], due: number): FigureResult {
  return {
    rows: [
      runsRow(spreadOf(runs.map(({ core }) => core)), {
        what: "CPU of the gateway, share of a core",
        goal: { atMost: MAX_CORE },
      }),
      runsRow(spreadOf(runs.map(({ pages }) => pages / due)), {
        what: "pages read, of those that are due",
        goal: { atLeast: 0.95 },
      }),
      runsRow(spreadOf([runs.reduce((total, { failed }) => total + failed, 0)]), {
        what: "pages that did not come",
        goal: { atMost: 0 },
      }),
    ],
    details: runs.map((one, index) => `run ${index + 1}: ${describe(one)}`),
    data: { runs },
  };
}

function describe({ core, pages, gateway, servers, windowMs, loopDelay }: Run): string {
  const delay =
    loopDelay === null
      ? "unknown"
      : `p50 ${digits(loopDelay.p50Ms)}, p99 ${digits(loopDelay.p99Ms)}, most ${digits(loopDelay.maxMs)} ms`;
  const memory = `${digits(megabytes(gateway.rss.lastBytes))} MB resident (most ${digits(megabytes(gateway.rss.maxBytes))})`;
  return `${digits(core * 100)} % of a core, ${digits(pages)} pages/s (${digits((gateway.cpuMs * 1_000) / ((pages * windowMs) / 1_000))} µs each); loop delay ${delay}; ${memory}; the servers themselves ${digits((servers.cpuMs / windowMs) * 100)} %`;
}
