/** What the built-in configuration holds in memory: at rest, and under the first load a gateway sees. */
import { setTimeout as sleep } from "node:timers/promises";
import { megabytes, runsRow, scaledCount, scaledMs, scaledPlan } from "../harness/figure.ts";
import type { Figure, FigureContext, FigureResult, FigureRow } from "../harness/figure.ts";
import { urlOf, withGateway } from "../harness/gateway.ts";
import type { Gateway } from "../harness/gateway.ts";
import { memoryRuns, proportionalMb, tellMemory } from "../harness/memory.ts";
import type { MemoryRun } from "../harness/memory.ts";
import { measureLoad } from "../harness/measure.ts";
import { ProcessWatch } from "../harness/processes.ts";
import type { ProcessReport } from "../harness/processes.ts";
import { fetchMetrics } from "../harness/prometheus.ts";
import { spreadOf } from "../harness/spread.ts";
import { loadOf, parameterOf, readWorkload } from "../harness/workload.ts";
import type { Workload } from "../harness/workload.ts";

const MAX_REST_MB = 110;
const MAX_LOADED_MB = 180;
const MAX_ALL_MB = 450;

/**
 * The gateway is judged by resident memory: what operators see and limits count. The sum over processes is judged by
 * proportional memory, because resident memory counts each page of the Node binary and of shared libraries once a
 * process that maps it, though the machine holds it once. Judged are starts after the first, which find Node's compile
 * cache filled; the first is told too.
 */
export const figure: Figure = {
  id: "memory",
  title: "memory of the built-in configuration, 16 connections for the load",
  target:
    "gateway 110 MB resident at rest, 180 MB under the first load; all processes 450 MB, shared pages once",
  run,
};

/** One gateway from its start through its first load. */
interface Run extends MemoryRun {
  readonly gatewayPid: number;
}

async function run(context: FigureContext): Promise<FigureResult> {
  const workload = await readWorkload("memory");
  const count = scaledCount(parameterOf(workload, "runs"), context.scale);
  const measured = await memoryRuns(context, count, (start) =>
    withGateway(start, (gateway) => measure(workload, gateway, context)),
  );
  return { rows: rowsOf(measured.runs), ...tellMemory(measured) };
}

function rowsOf(runs: readonly Run[]): FigureRow[] {
  const loadedMb = runs.map((one) => gatewayMb(one.loaded.processes, one.gatewayPid));
  const restMb = runs.map((one) => gatewayMb(one.atRest, one.gatewayPid));
  const allMb = runs.map(({ atRest, loaded }) =>
    Math.max(proportionalMb(atRest), proportionalMb(loaded.processes)),
  );
  return [
    runsRow(spreadOf(restMb), { what: "gateway at rest, MB resident", goal: { atMost: MAX_REST_MB } }),
    runsRow(spreadOf(loadedMb), {
      what: "gateway under the first load, MB resident",
      goal: { atMost: MAX_LOADED_MB },
    }),
    runsRow(spreadOf(allMb), {
      what: "all processes, at rest or under load, MB proportional",
      goal: { atMost: MAX_ALL_MB },
    }),
  ];
}

async function measure(workload: Workload, gateway: Gateway, { scale }: FigureContext): Promise<Run> {
  const { server } = gateway;
  await expectModels(workload, gateway);
  await sleep(scaledMs(parameterOf(workload, "settleMs"), scale));
  const atRest = new ProcessWatch({ roots: { [server.name]: server.pid } }).close();
  const loaded = await measureLoad(scaledPlan(loadOf(workload), scale), { servers: [server] });
  return { atRest, loaded, gatewayPid: server.pid };
}

/** Throws when the built-in configuration serves other models than the workload says. */
async function expectModels(workload: Workload, { server }: Gateway): Promise<void> {
  const samples = await fetchMetrics(urlOf(server.address, "/metrics"));
  const ready = samples.filter(({ name, value }) => name === "spillway_model_ready" && value === 1);
  const served = ready.map(({ labels }) => labels["model"] ?? "").toSorted();
  const expected = workload.models.map(({ name }) => name).toSorted();
  if (served.join() !== expected.join())
    throw new Error(`expected the models ${expected.join(", ")}, the gateway serves ${served.join(", ")}`);
}

function gatewayMb(processes: readonly ProcessReport[], pid: number): number {
  return megabytes(processes.find((one) => one.pid === pid)?.rss.maxBytes ?? Number.NaN);
}
