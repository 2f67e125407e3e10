/** What crossing a process costs when computing is all the cost: batched through the gateway against the bare runtime. */
import { prepareModels } from "../harness/bench-models.ts";
import { digits, pairedLine, pairedRow, runsRow, scaledMs, scaledPlan } from "../harness/figure.ts";
import type { Figure, FigureContext, FigureResult } from "../harness/figure.ts";
import { withGateway } from "../harness/gateway.ts";
import { bestBatch, runInProcess } from "../harness/in-process.ts";
import type { BatchResult, InProcessOptions } from "../harness/in-process.ts";
import { cpuUsPerRequest, measureLoad } from "../harness/measure.ts";
import type { MeasuredLoad } from "../harness/measure.ts";
import { comparePairs, runPairs } from "../harness/pairs.ts";
import type { Round } from "../harness/pairs.ts";
import { processLines } from "../harness/process-table.ts";
import { spreadOf } from "../harness/spread.ts";
import { loadOf, parameterOf, readWorkload } from "../harness/workload.ts";
import type { Workload } from "../harness/workload.ts";

const MIN_SHARE_OF_IN_PROCESS = 0.65;
const MAX_P99_MS = 30;

/** The gateway's rate against that of the same model in one process, called in a loop at its best batch size. */
export const figure: Figure = {
  id: "mlp2048-binary",
  title: "42 MB MLP (2048→2048→2048→1000), binary v2, 64 connections",
  target: "65 % of the rate of in-process onnxruntime at its best batch; p99 under 30 ms",
  run,
};

/** A run of either side. */
interface Run {
  readonly ratePerSecond: number;
  readonly cpuUs: number;
  readonly source: MeasuredLoad | BatchResult;
}

type OneBatch = Omit<InProcessOptions, "batches">;

async function run(context: FigureContext): Promise<FigureResult> {
  const workload = await readWorkload("mlp2048-binary");
  const models = await prepareModels(workload, context.directory);
  const plan = scaledPlan(loadOf(workload), context.scale);
  const inProcess = inProcessOptions(workload, models.onnxFiles["mlp2048"] ?? "", context);
  const batches = await sweep(inProcess, parameterOf(workload, "inProcessMaxBatch"));
  const best = bestBatch({ batches }).batch;
  context.log(`in process: best at batches of ${best} (${batches.map(batchText).join(", ")})`);
  const rounds = await withGateway({ directory: context.directory, models }, ({ server }) =>
    runPairs<Run>({
      pairs: context.pairs,
      ours: async () => oursOf(await measureLoad(plan, { servers: [server] })),
      reference: async () => referenceOf(await sweepOne(inProcess, best)),
      onRun: ({ ratePerSecond }, { round, side }) =>
        context.log(`round ${round}, ${side}: ${digits(ratePerSecond)}/s`),
    }),
  );
  return judge(rounds, { batches, best, plan });
}

function judge(
  rounds: readonly Round<Run>[],
  about: { readonly batches: readonly BatchResult[]; readonly best: number; readonly plan: unknown },
): FigureResult {
  const rate = comparePairs(rounds, "ratio", ({ ratePerSecond }) => ratePerSecond);
  const cpuUs = comparePairs(rounds, "ratio", (one) => one.cpuUs);
  const loads = rounds.flatMap(({ ours }) => ("load" in ours.source ? [ours.source] : []));
  const p99Ms = spreadOf(loads.map(({ load }) => load.latency.p99Ms));
  const goal = { atLeast: MIN_SHARE_OF_IN_PROCESS };
  return {
    rows: [
      pairedRow("ratio", rate, { what: `rate over in-process at batches of ${about.best}`, goal }),
      runsRow(p99Ms, { what: "p99, ms", goal: { atMost: MAX_P99_MS } }),
    ],
    details: [
      pairedLine("rate", rate, "rows/s"),
      pairedLine("CPU a row, all processes", cpuUs, "µs"),
      `in process by batch: ${about.batches.map(batchText).join(", ")}`,
      ...processLines({ ours: loads }),
    ],
    data: { ...about, rate, cpuUs, p99Ms, rounds },
  };
}

function inProcessOptions(workload: Workload, model: string, { scale }: FigureContext): OneBatch {
  return {
    model,
    durationMs: scaledMs(parameterOf(workload, "inProcessDurationMs"), scale),
    warmUpMs: scaledMs(parameterOf(workload, "inProcessWarmUpMs"), scale),
  };
}

/** Every power of two up to `max`. */
async function sweep(options: OneBatch, max: number): Promise<readonly BatchResult[]> {
  const sizes = Array.from({ length: Math.floor(Math.log2(max)) + 1 }, (_, exponent) => 2 ** exponent);
  return (await runInProcess({ ...options, batches: sizes })).batches;
}

async function sweepOne(options: OneBatch, batch: number): Promise<BatchResult> {
  const [result] = (await runInProcess({ ...options, batches: [batch] })).batches;
  if (result === undefined) throw new Error("the in-process reference measured nothing");
  return result;
}

function oursOf(source: MeasuredLoad): Run {
  return { ratePerSecond: source.load.ratePerSecond, cpuUs: cpuUsPerRequest(source), source };
}

function referenceOf(source: BatchResult): Run {
  return { ratePerSecond: source.itemsPerSecond, cpuUs: source.cpuUsPerItem, source };
}

function batchText({ batch, itemsPerSecond }: BatchResult): string {
  return `${batch}: ${digits(itemsPerSecond)}/s`;
}
