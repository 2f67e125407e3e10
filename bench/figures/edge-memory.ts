/** What an edge box gives up for the endpoint: gateway and one worker, at rest and while cameras ask. */
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { withEdgeRig } from "../harness/edge-rig.ts";
import type { EdgeRig } from "../harness/edge-rig.ts";
import { runsRow, scaledCount, scaledMs, scaledPlan } from "../harness/figure.ts";
import type { Figure, FigureContext, FigureResult } from "../harness/figure.ts";
import { measureLoad } from "../harness/measure.ts";
import type { MeasuredLoad } from "../harness/measure.ts";
import { memoryLine, ownNode, proportionalMb } from "../harness/memory.ts";
import { withPicture } from "../harness/picture.ts";
import { processLines } from "../harness/process-table.ts";
import { ProcessWatch } from "../harness/processes.ts";
import type { ProcessReport } from "../harness/processes.ts";
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

/** One gateway from its start through its load. */
interface Run {
  readonly atRest: readonly ProcessReport[];
  readonly loaded: MeasuredLoad;
}

async function run(context: FigureContext): Promise<FigureResult> {
  const workload = await readWorkload("edge-memory");
  const node = await ownNode(context.directory);
  const env = { NODE_COMPILE_CACHE: join(context.directory, "compile-cache") };
  const resting = parameterOf(workload, "restingDetectors");
  const start = async (name: string): Promise<Run> => {
    const options = { directory: join(context.directory, name), node, env, resting };
    const one = await withEdgeRig(workload, options, (rig) => measure(workload, rig, context));
    context.log(`${name}: at rest ${memoryLine(one.atRest)}; loaded ${memoryLine(one.loaded.processes)}`);
    return one;
  };
  const first = await start("first-start");
  const runs: Run[] = [];
  const count = scaledCount(parameterOf(workload, "runs"), context.scale);
  for (let round = 1; round <= count; round += 1) runs.push(await start(`run-${round}`));
  return judge(first, runs);
}

function judge(first: Run, runs: readonly Run[]): FigureResult {
  const goal = { atMost: MAX_ALL_MB };
  const restMb = spreadOf(runs.map(({ atRest }) => proportionalMb(atRest)));
  const loadedMb = spreadOf(runs.map(({ loaded }) => proportionalMb(loaded.processes)));
  return {
    rows: [
      runsRow(restMb, { what: "all processes at rest, MB proportional", goal }),
      runsRow(loadedMb, { what: "all processes at 30 queries/s, MB proportional", goal }),
      runsRow(spreadOf([runs.reduce((sum, { loaded }) => sum + loaded.load.errors, 0)]), {
        what: "failed requests",
        goal: { atMost: 0 },
      }),
    ],
    details: [
      `first start of this checkout, when Node strips and compiles every module: at rest ${memoryLine(first.atRest)}; under load ${memoryLine(first.loaded.processes)}`,
      ...runs.map(({ atRest }, index) => `run ${index + 1} at rest: ${memoryLine(atRest)}`),
      ...runs.map(({ loaded }, index) => `run ${index + 1} under load: ${memoryLine(loaded.processes)}`),
      ...processLines({ ours: runs.map(({ loaded }) => loaded) }),
    ],
    data: { first, runs },
  };
}

async function measure(workload: Workload, rig: EdgeRig, { scale }: FigureContext): Promise<Run> {
  const { server } = rig.gateway;
  await sleep(scaledMs(parameterOf(workload, "settleMs"), scale));
  const atRest = new ProcessWatch({ roots: { [server.name]: server.pid } }).close();
  const plan = withPicture(scaledPlan(loadOf(workload), scale), rig.picture);
  return { atRest, loaded: await measureLoad(plan, { servers: [server] }) };
}
