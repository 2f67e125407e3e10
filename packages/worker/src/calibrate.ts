/** Finds out at load how many rows one call should carry, by running the model. */
import type { WorkerClock } from "./clock.ts";

/** One measured batch size. */
export interface CalibrationPoint {
  readonly batch: number;
  /** Fastest run, in milliseconds. */
  readonly ms: number;
  /** Rows a second at that time, the call's own cost included. */
  readonly rowsPerSecond: number;
}

/** What the calibration found. */
export interface Calibration {
  /** Rows to send in one call at most. */
  readonly maxBatch: number;
  /** Why, in words. */
  readonly reason: string;
  /** Empty when nothing was measured. */
  readonly points: readonly CalibrationPoint[];
  /** Time it took. */
  readonly tookMs: number;
}

/** What the calibration needs. */
export interface CalibrateOptions {
  /** Runs the model once on that many rows. */
  readonly run: (rows: number) => Promise<void>;
  readonly clock: WorkerClock;
  /** No size is tried that would end after this much time. Default 300 ms. */
  readonly budgetMs?: number;
  /** Ascending, from 1. Default 1, 2, 4, … 64. */
  readonly sizes?: readonly number[];
  /**
   * What a call costs besides the model: framing, system calls, decoding. Sharing it is a gain of
   * batching even where the model itself gains nothing. Default 0.06 ms, a gRPC call of 256 bytes
   * over a Unix socket.
   */
  readonly callOverheadMs?: number;
}

const defaultSizes = [1, 2, 4, 8, 16, 32, 64];

/** A batch size is good enough within this share of the best throughput. */
const nearBest = 0.9;

/** Batching pays from this gain over single rows on: below it a larger batch only adds latency. */
const worthwhileGain = 1.15;

/** Runs of one size: at most this many, and no more once they have taken this long. */
const maxRuns = 10;
const enoughMs = 4;

/**
 * Times the model at growing batch sizes and picks the smallest whose throughput is within 10 % of the
 * best and at least 15 % above single rows; 1 when none is. Stops early when the next size would not
 * fit into the budget. Rejects with what `run` rejects with.
 */
export async function calibrate(options: CalibrateOptions): Promise<Calibration> {
  const { run, clock, budgetMs = 300, sizes = defaultSizes, callOverheadMs = 0.06 } = options;
  const startMs = clock.now();
  const points: CalibrationPoint[] = [];
  let cutAt: number | undefined;
  for (const batch of sizes) {
    const last = points.at(-1);
    // A first run and at least one timed run, each predicted to grow with the rows.
    const predictedMs = last === undefined ? 0 : (2 * last.ms * batch) / last.batch;
    if (clock.now() - startMs + predictedMs > budgetMs) {
      cutAt = batch;
      break;
    }
    await run(batch);
    const ms = await fastest(() => run(batch), { clock, endMs: startMs + budgetMs });
    points.push({ batch, ms, rowsPerSecond: (1000 * batch) / (ms + callOverheadMs) });
  }
  return { ...choose(points, cutAt), points, tookMs: clock.now() - startMs };
}

/** The fastest of a few runs: the one least disturbed by others on the machine. */
async function fastest(
  run: () => Promise<void>,
  limits: { clock: WorkerClock; endMs: number },
): Promise<number> {
  const { clock, endMs } = limits;
  let best = Infinity;
  let total = 0;
  for (let count = 0; count < maxRuns && total < enoughMs; count++) {
    const start = clock.now();
    if (count > 0 && start > endMs) break;
    await run();
    const took = clock.now() - start;
    best = Math.min(best, took);
    total += took;
  }
  return best;
}

function choose(
  points: readonly CalibrationPoint[],
  cutAt: number | undefined,
): Pick<Calibration, "maxBatch" | "reason"> {
  const single = points[0];
  if (single === undefined) return { maxBatch: 1, reason: "nothing was measured" };
  const best = Math.max(...points.map((point) => point.rowsPerSecond));
  const chosen = points.find(
    ({ rowsPerSecond }) =>
      rowsPerSecond >= nearBest * best && rowsPerSecond >= worthwhileGain * single.rowsPerSecond,
  );
  const cut = cutAt === undefined ? "" : `; ${cutAt} rows would not fit into the time for measuring`;
  if (chosen === undefined) return { maxBatch: 1, reason: `batching gains less than 15 %${cut}` };
  const gain = (chosen.rowsPerSecond / single.rowsPerSecond).toFixed(1);
  return { maxBatch: chosen.batch, reason: `${gain} times the rows per second of single rows${cut}` };
}

/** A batch size that was not measured. */
export function fixedBatch(maxBatch: number, reason: string): Calibration {
  return { maxBatch, reason, points: [], tookMs: 0 };
}
