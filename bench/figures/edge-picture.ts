/** How much of a machine's decoding is left when pictures come over HTTP and a model looks at them. */
import { withEdgeRig } from "../harness/edge-rig.ts";
import type { EdgeRig } from "../harness/edge-rig.ts";
import {
  digits,
  pairedLine,
  pairedRow,
  runsRow,
  scaledCount,
  scaledMs,
  scaledPlan,
} from "../harness/figure.ts";
import type { Figure, FigureContext, FigureResult } from "../harness/figure.ts";
import { runPictures } from "../harness/in-process-picture.ts";
import type { PictureRunResult } from "../harness/in-process-picture.ts";
import { cpuUsPerRequest, measureLoad } from "../harness/measure.ts";
import type { MeasuredLoad } from "../harness/measure.ts";
import { comparePairs, runPairs } from "../harness/pairs.ts";
import type { Round } from "../harness/pairs.ts";
import { withPicture } from "../harness/picture.ts";
import { processLines } from "../harness/process-table.ts";
import { spreadOf, type Spread } from "../harness/spread.ts";
import { loadOf, parameterOf, readWorkload } from "../harness/workload.ts";
import type { Workload } from "../harness/workload.ts";

const MIN_SHARE_OF_SHARP = 0.7;
const MAX_P95_MS = 50;

/** Image queries against sharp alone, which does the part of the work that nobody can leave out. */
export const figure: Figure = {
  id: "edge-picture",
  title: "640×480 JPEG, small CNN, image queries end to end, 16 connections",
  target: "70 % of the rate of sharp's decode and resize alone; p95 under 50 ms at 60 % of that rate",
  run,
};

/** A run of either side. */
interface Run {
  readonly ratePerSecond: number;
  readonly cpuUs: number;
  readonly source: MeasuredLoad | PictureRunResult;
}

type Reference = (atOnce: number) => Promise<PictureRunResult>;

async function run(context: FigureContext): Promise<FigureResult> {
  const workload = await readWorkload("edge-picture");
  return withEdgeRig(workload, { directory: context.directory }, async (rig) => {
    const plan = withPicture(scaledPlan(loadOf(workload), context.scale), rig.picture);
    const reference = referenceOf(workload, rig, context);
    const sweep = await sweepOver(parameterOf(workload, "inProcessMaxAtOnce"), reference);
    const best = sweep.reduce((most, one) => (one.ratePerSecond > most.ratePerSecond ? one : most)).atOnce;
    context.log(`picture of ${rig.picture.length} bytes; sharp alone: ${sweep.map(sweepText).join(", ")}`);
    const rounds = await runPairs<Run>({
      pairs: context.pairs,
      ours: async () => oursOf(await measureLoad(plan, { servers: [rig.gateway.server] })),
      reference: async () => sharpOf(await reference(best)),
      onRun: ({ ratePerSecond }, { round, side }) =>
        context.log(`round ${round}, ${side}: ${digits(ratePerSecond)}/s`),
    });
    const rate = comparePairs(rounds, "ratio", ({ ratePerSecond }) => ratePerSecond);
    const steady = await runSteady(workload, rig, rate.reference.median, context);
    return judge(rounds, steady, { sweep, best, pictureBytes: rig.picture.length });
  });
}

function judge(
  rounds: readonly Round<Run>[],
  steady: readonly MeasuredLoad[],
  about: {
    readonly sweep: readonly PictureRunResult[];
    readonly best: number;
    readonly pictureBytes: number;
  },
): FigureResult {
  const rate = comparePairs(rounds, "ratio", ({ ratePerSecond }) => ratePerSecond);
  const cpuUs = comparePairs(rounds, "ratio", (one) => one.cpuUs);
  const loads = rounds.flatMap(({ ours }) => ("load" in ours.source ? [ours.source] : []));
  const steadyMs = (of: (one: MeasuredLoad) => number): Spread => spreadOf(steady.map(of));
  const p95Ms = steadyMs(({ load }) => load.latency.p95Ms);
  const failed = [...loads, ...steady].reduce((sum, { load }) => sum + load.errors, 0);
  return {
    rows: [
      pairedRow("ratio", rate, {
        what: `rate over that of sharp with ${about.best} pictures at a time`,
        goal: { atLeast: MIN_SHARE_OF_SHARP },
      }),
      runsRow(p95Ms, { what: "p95 at 60 % of sharp's rate, ms", goal: { atMost: MAX_P95_MS } }),
      runsRow(spreadOf([failed]), { what: "failed requests", goal: { atMost: 0 } }),
    ],
    details: [
      `picture of ${about.pictureBytes} bytes; sharp alone, pictures at a time: ${about.sweep.map(sweepText).join(", ")}`,
      pairedLine("rate", rate, "pictures/s"),
      pairedLine("CPU a picture, all processes", cpuUs, "µs"),
      ...steady.map(
        ({ load }) =>
          `at ${digits(load.ratePerSecond)}/s: p50 ${digits(load.latency.p50Ms)} ms, p95 ${digits(load.latency.p95Ms)} ms, p99 ${digits(load.latency.p99Ms)} ms`,
      ),
      ...processLines({ "ours (closed loop)": loads, "ours (open loop)": steady }),
    ],
    data: { ...about, rate, cpuUs, p95Ms, rounds, steady },
  };
}

/** Open loop at a share of what sharp does alone. */
async function runSteady(
  workload: Workload,
  { picture, gateway }: EdgeRig,
  sharpRate: number,
  context: FigureContext,
): Promise<MeasuredLoad[]> {
  const plan = withPicture(scaledPlan(loadOf(workload, "steady"), context.scale), picture);
  if (plan.pace.kind !== "open") throw new Error("edge-picture: the load steady has to be an open loop");
  const ratePerSecond = (sharpRate * parameterOf(workload, "steadyPercent")) / 100;
  const runs: MeasuredLoad[] = [];
  for (let count = scaledCount(parameterOf(workload, "steadyRuns"), context.scale); count > 0; count -= 1) {
    const pace = { ...plan.pace, ratePerSecond, seed: plan.pace.seed + count };
    const measured = await measureLoad({ ...plan, pace }, { servers: [gateway.server] });
    context.log(`at ${digits(ratePerSecond)}/s: p95 ${digits(measured.load.latency.p95Ms)} ms`);
    runs.push(measured);
  }
  return runs;
}

function referenceOf(workload: Workload, rig: EdgeRig, { scale }: FigureContext): Reference {
  const { pictureFile: picture, size } = rig;
  const durationMs = scaledMs(parameterOf(workload, "inProcessDurationMs"), scale);
  const warmUpMs = scaledMs(parameterOf(workload, "inProcessWarmUpMs"), scale);
  return (atOnce) => runPictures({ picture, size, atOnce, durationMs, warmUpMs });
}

/** Every power of two up to `max`. */
async function sweepOver(max: number, reference: Reference): Promise<PictureRunResult[]> {
  const results: PictureRunResult[] = [];
  for (let atOnce = 1; atOnce <= max; atOnce *= 2) results.push(await reference(atOnce));
  return results;
}

function oursOf(source: MeasuredLoad): Run {
  return { ratePerSecond: source.load.ratePerSecond, cpuUs: cpuUsPerRequest(source), source };
}

function sharpOf(source: PictureRunResult): Run {
  return { ratePerSecond: source.ratePerSecond, cpuUs: source.cpuUsPerPicture, source };
}

function sweepText({ atOnce, ratePerSecond }: PictureRunResult): string {
  return `${atOnce}: ${digits(ratePerSecond)}/s`;
}
