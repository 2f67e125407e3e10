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
  /** Makes the rows that the next run is given, so that its time is the model's alone. */
  readonly prepare?: (rows: number) => void;
  readonly clock: WorkerClock;
  /**
   * CPU time of this process so far, ms. Where it is less than the time that went by, others had the
   * processor, which says nothing about the model. Default: the time that went by.
   */
  readonly cpuMs?: () => number;
  /**
   * No size is tried that would end after this much time of the model's own; others may hold it up to
   * four times as long in all. Default 300 ms.
   */
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

/** A batch size is good enough within this share of the best throughput: no more, as each call also costs the gateway. */
const nearBest = 0.95;

/** Batching pays from this gain over single rows on: below it a larger batch only adds latency. */
const worthwhileGain = 1.15;

/** Runs of one size in a row: at most this many, and no more once they have taken this long. */
const maxRuns = 10;
const enoughMs = 4;

/** Others on the machine may stretch the time for measuring by this factor. */
const patience = 4;

/** Times that all sizes are timed once more, as far as there is time left. */
const furtherPasses = 2;

/**
 * Times the model at growing batch sizes and picks the smallest whose throughput is within 5 % of the
 * best and at least 15 % above single rows; 1 when none is. Stops early when the next size would not
 * fit into the budget. A large size is timed once in the first pass, and whatever else ran on the
 * machine just then would decide; in the time that is left all sizes take turns. Rejects with what `run`
 * rejects with.
 */
export async function calibrate(options: CalibrateOptions): Promise<Calibration> {
  const { run, clock, budgetMs = 300, sizes = defaultSizes, callOverheadMs = 0.06 } = options;
  const startMs = clock.now();
  const watch = new Stopwatch(options);
  const fits = (ms: number): boolean =>
    watch.ms + ms <= budgetMs && clock.now() - startMs + ms <= patience * budgetMs;
  const timed: Timed[] = [];
  let cutAt: number | undefined;
  for (const batch of sizes) {
    const last = timed.at(-1);
    // A first run and at least one timed run, each predicted to grow with the rows.
    const predictedMs = last === undefined ? 0 : (2 * last.ms * batch) / last.batch;
    if (!fits(predictedMs)) {
      cutAt = batch;
      break;
    }
    options.prepare?.(batch);
    await run(batch);
    timed.push({ batch, ms: await fastest(batch, options, fits) });
  }
  for (let pass = 0; pass < furtherPasses; pass++) await timeAgain(timed, options, fits);
  const points = timed.map(({ batch, ms }) => ({
    batch,
    ms,
    rowsPerSecond: (1000 * batch) / (ms + callOverheadMs),
  }));
  return { ...choose(points, cutAt), points, tookMs: clock.now() - startMs };
}

/** A batch size and its fastest run, ms. */
interface Timed {
  readonly batch: number;
  ms: number;
}

/** Time from its construction on that this process could use. */
class Stopwatch {
  readonly #clock: WorkerClock;
  readonly #cpuMs: (() => number) | undefined;
  readonly #startMs: number;
  readonly #startCpuMs: number;

  constructor({ clock, cpuMs }: Pick<CalibrateOptions, "clock" | "cpuMs">) {
    this.#clock = clock;
    this.#cpuMs = cpuMs;
    this.#startMs = clock.now();
    this.#startCpuMs = cpuMs?.() ?? 0;
  }

  /** Several threads use more CPU time than goes by: then what went by counts. */
  get ms(): number {
    const wentByMs = this.#clock.now() - this.#startMs;
    return this.#cpuMs === undefined ? wentByMs : Math.min(wentByMs, this.#cpuMs() - this.#startCpuMs);
  }
}

async function timeRun(batch: number, options: CalibrateOptions): Promise<number> {
  const watch = new Stopwatch(options);
  await options.run(batch);
  return watch.ms;
}

/** One more run of each size, as far as it fits into the time. */
async function timeAgain(
  timed: readonly Timed[],
  options: CalibrateOptions,
  fits: (ms: number) => boolean,
): Promise<void> {
  for (const size of timed) {
    if (!fits(size.ms)) continue;
    options.prepare?.(size.batch);
    size.ms = Math.min(size.ms, await timeRun(size.batch, options));
  }
}

/** The fastest of a few runs: the one least disturbed by others on the machine. */
async function fastest(
  batch: number,
  options: CalibrateOptions,
  fits: (ms: number) => boolean,
): Promise<number> {
  let best = Infinity;
  let total = 0;
  for (let count = 0; count < maxRuns && total < enoughMs; count++) {
    if (count > 0 && !fits(0)) break;
    const took = await timeRun(batch, options);
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
