/** What the way through the edge endpoint adds to one image query alone. */
import { withEdgeRig } from "../harness/edge-rig.ts";
import type { EdgeRig } from "../harness/edge-rig.ts";
import { digits, pairedLine, pairedRow, scaledMs, scaledPlan } from "../harness/figure.ts";
import type { Figure, FigureContext, FigureResult } from "../harness/figure.ts";
import { runPictures } from "../harness/in-process-picture.ts";
import type { PictureRunResult } from "../harness/in-process-picture.ts";
import { measureLoad } from "../harness/measure.ts";
import type { MeasuredLoad } from "../harness/measure.ts";
import { comparePairs, runPairs } from "../harness/pairs.ts";
import type { Round } from "../harness/pairs.ts";
import { withPicture } from "../harness/picture.ts";
import { processLines } from "../harness/process-table.ts";
import { loadOf, parameterOf, readWorkload } from "../harness/workload.ts";
import type { Workload } from "../harness/workload.ts";

const MAX_ADDED_MS = 1.5;

/** The endpoint's median latency less that of decoding and inference in one process. */
export const figure: Figure = {
  id: "edge-latency",
  title: "added latency of an image query at one connection, 640×480 JPEG, small CNN",
  target: "p50 at most 1.5 ms over decoding and inference in one process",
  run,
};

/** A run of either side. */
interface Run {
  readonly p50Ms: number;
  readonly source: MeasuredLoad | PictureRunResult;
}

async function run(context: FigureContext): Promise<FigureResult> {
  const workload = await readWorkload("edge-latency");
  const rounds = await withEdgeRig(workload, { directory: context.directory }, (rig) => {
    const plan = withPicture(scaledPlan(loadOf(workload), context.scale), rig.picture);
    return runPairs<Run>({
      pairs: context.pairs,
      ours: async () => runOf(await measureLoad(plan, { servers: [rig.gateway.server] })),
      reference: () => inProcess(workload, rig, context),
      onRun: ({ p50Ms }, { round, side }) => context.log(`round ${round}, ${side}: p50 ${digits(p50Ms)} ms`),
    });
  });
  return judge(rounds);
}

function judge(rounds: readonly Round<Run>[]): FigureResult {
  const p50 = comparePairs(rounds, "difference", ({ p50Ms }) => p50Ms);
  const loads = rounds.flatMap(({ ours }) => ("load" in ours.source ? [ours.source] : []));
  return {
    rows: [pairedRow("difference", p50, { what: "added p50, ms", goal: { atMost: MAX_ADDED_MS } })],
    details: [pairedLine("p50", p50, "ms"), ...processLines({ ours: loads })],
    data: { p50, rounds },
  };
}

function runOf(source: MeasuredLoad): Run {
  return { p50Ms: source.load.latency.p50Ms, source };
}

async function inProcess(workload: Workload, rig: EdgeRig, { scale }: FigureContext): Promise<Run> {
  const source = await runPictures({
    picture: rig.pictureFile,
    size: rig.size,
    model: rig.onnxFile,
    atOnce: 1,
    durationMs: scaledMs(parameterOf(workload, "inProcessDurationMs"), scale),
    warmUpMs: scaledMs(parameterOf(workload, "inProcessWarmUpMs"), scale),
  });
  return { p50Ms: source.latency.p50Ms, source };
}
