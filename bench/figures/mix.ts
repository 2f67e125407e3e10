/** Whether a slow model is felt by its neighbour: the same traffic to a fast model, alone and beside a slow one. */
import { prepareModels } from "../harness/bench-models.ts";
import { digits, pairedLine, pairedRow, scaledPlan } from "../harness/figure.ts";
import type { Figure, FigureContext, FigureResult } from "../harness/figure.ts";
import { withGateway } from "../harness/gateway.ts";
import { measureLoad } from "../harness/measure.ts";
import type { MeasuredLoad } from "../harness/measure.ts";
import { comparePairs, runPairs, runsOf } from "../harness/pairs.ts";
import type { Round } from "../harness/pairs.ts";
import { processLines } from "../harness/process-table.ts";
import { cpuMsOf } from "../harness/processes.ts";
import type { ServerProcess } from "../harness/serve.ts";
import { loadOf, readWorkload } from "../harness/workload.ts";
import type { LoadResult } from "../load/load-result.ts";
import type { LoadPlan } from "../load/load-spec.ts";
import { startLoad } from "../load/start-load.ts";

const MAX_P99_RATIO = 1.25;
/** What counts as unchanged: the kernel counts CPU time in steps, and a machine's caches are shared. */
const MAX_CPU_RATIO = 1.1;

/** The fast model's p99 beside a slow one over its p99 alone. The reference is the same traffic alone. */
export const figure: Figure = {
  id: "mix",
  title: "a fast model beside a 500 ms mock under load",
  target: "p99 at most 1.25 × its p99 alone; CPU per request unchanged",
  run,
};

/** A run of either side. */
interface Run {
  readonly fast: MeasuredLoad;
  /** Absent where the fast model runs alone. */
  readonly slow?: LoadResult;
}

async function run(context: FigureContext): Promise<FigureResult> {
  const workload = await readWorkload("mix-fast-beside-slow");
  const models = await prepareModels(workload, context.directory);
  const fast = scaledPlan(loadOf(workload, "fast"), context.scale);
  const slow = loadOf(workload, "slow");
  const rounds = await withGateway({ directory: context.directory, models }, ({ server }) =>
    runPairs<Run>({
      pairs: context.pairs,
      ours: () => besideSlow(fast, slow, server),
      reference: async () => ({ fast: await measureLoad(fast, { servers: [server] }) }),
      onRun: (one, { round, side }) =>
        context.log(`round ${round}, ${nameOf(side)}: p99 ${digits(one.fast.load.latency.p99Ms)} ms`),
    }),
  );
  return judge(rounds, { fast, slow });
}

function judge(
  rounds: readonly Round<Run>[],
  plans: { readonly fast: LoadPlan; readonly slow: LoadPlan },
): FigureResult {
  const p99 = comparePairs(rounds, "ratio", ({ fast }) => fast.load.latency.p99Ms);
  const p50 = comparePairs(rounds, "ratio", ({ fast }) => fast.load.latency.p50Ms);
  const cpuUs = comparePairs(rounds, "ratio", cpuUsPerAnswer);
  const loads = (side: "ours" | "reference"): MeasuredLoad[] => runsOf(rounds, side).map(({ fast }) => fast);
  const slow = rounds.flatMap(({ ours }) => (ours.slow === undefined ? [] : [ours.slow]));
  return {
    rows: [
      pairedRow("ratio", p99, { what: "p99 beside over p99 alone", goal: { atMost: MAX_P99_RATIO } }),
      pairedRow("ratio", cpuUs, {
        what: "CPU an answer of either model, beside over alone",
        goal: { atMost: MAX_CPU_RATIO },
      }),
    ],
    details: [
      pairedLine("p99 (ours is beside, reference alone)", p99, "ms"),
      pairedLine("p50", p50, "ms"),
      pairedLine("CPU an answer, all processes", cpuUs, "µs"),
      ...slow.map((load, index) => slowLine(load, index + 1)),
      ...processLines({ beside: loads("ours"), alone: loads("reference") }),
    ],
    data: { plans, p99, p50, cpuUs, rounds },
  };
}

/** The slow model's callers are at it before the fast one's window begins and until after it ends. */
async function besideSlow(fast: LoadPlan, slow: LoadPlan, server: ServerProcess): Promise<Run> {
  const neighbour = startLoad({ ...slow, target: server.address });
  try {
    await neighbour.measuring;
    const measured = await measureLoad(fast, { servers: [server] });
    neighbour.stop();
    return { fast: measured, slow: await neighbour.result };
  } finally {
    neighbour.close();
  }
}

/** CPU time of gateway and workers over the answers of both models in the fast model's window. */
function cpuUsPerAnswer({ fast, slow }: Run): number {
  const { ratePerSecond, windowMs } = fast.load;
  const answers = ((ratePerSecond + (slow?.ratePerSecond ?? 0)) * windowMs) / 1000;
  return (cpuMsOf(fast.processes) * 1000) / Math.max(1, answers);
}

function slowLine({ ratePerSecond, latency, errors }: LoadResult, round: number): string {
  return `slow model in round ${round}: ${digits(ratePerSecond)}/s, p50 ${digits(latency.p50Ms)} ms, ${errors} failed`;
}

function nameOf(side: keyof Round<Run>): string {
  return side === "ours" ? "beside" : "alone";
}
