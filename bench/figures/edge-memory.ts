/** What an edge box gives up for the endpoint: gateway and one worker, at rest and while cameras ask. */
import { setTimeout as sleep } from "node:timers/promises";
import { withEdgeRig } from "../harness/edge-rig.ts";
import type { EdgeRig } from "../harness/edge-rig.ts";
import { runsRow, scaledCount, scaledMs, scaledPlan } from "../harness/figure.ts";
import type { Figure, FigureContext, FigureResult, FigureRow } from "../harness/figure.ts";
import { measureLoad } from "../harness/measure.ts";
import { memoryRuns, proportionalMb, tellMemory } from "../harness/memory.ts";
import type { MemoryRun } from "../harness/memory.ts";
import { withPicture } from "../harness/picture.ts";
import { ProcessWatch } from "../harness/processes.ts";
import { spreadOf } from "../harness/spread.ts";
import { loadOf, parameterOf, readWorkload } from "../harness/workload.ts";
import type { Workload } from "../harness/workload.ts";

const MAX_ALL_MB = 300;

/** Proportional memory, so that what processes share counts once. Starts find Node's compile cache filled. */
export const figure: Figure = {
  id: "edge-memory",
  title: "memory of gateway and one worker, ten detectors, 30 image queries/s",
  target: "all processes 300 MB, shared pages once",
  run,
};

async function run(context: FigureContext): Promise<FigureResult> {
  const workload = await readWorkload("edge-memory");
  const resting = parameterOf(workload, "restingDetectors");
  const count = scaledCount(parameterOf(workload, "runs"), context.scale);
  const measured = await memoryRuns(context, count, (start) =>
    withEdgeRig(workload, { ...start, resting }, (rig) => measure(workload, rig, context)),
  );
  return { rows: rowsOf(measured.runs), ...tellMemory(measured) };
}

function rowsOf(runs: readonly MemoryRun[]): FigureRow[] {
  const goal = { atMost: MAX_ALL_MB };
  const restMb = spreadOf(runs.map(({ atRest }) => proportionalMb(atRest)));
  const loadedMb = spreadOf(runs.map(({ loaded }) => proportionalMb(loaded.processes)));
  return [
    runsRow(restMb, { what: "all processes at rest, MB proportional", goal }),
    runsRow(loadedMb, { what: "all processes at 30 queries/s, MB proportional", goal }),
    runsRow(spreadOf([runs.reduce((sum, { loaded }) => sum + loaded.load.errors, 0)]), {
      what: "failed requests",
      goal: { atMost: 0 },
    }),
  ];
}

async function measure(workload: Workload, rig: EdgeRig, { scale }: FigureContext): Promise<MemoryRun> {
  const { server } = rig.gateway;
  await sleep(scaledMs(parameterOf(workload, "settleMs"), scale));
  const atRest = new ProcessWatch({ roots: { [server.name]: server.pid } }).close();
  const plan = withPicture(scaledPlan(loadOf(workload), scale), rig.picture);
  return { atRest, loaded: await measureLoad(plan, { servers: [server] }) };
}
