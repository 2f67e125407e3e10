/** Counts and times of one model version, with Triton's meaning of each. */

/** How often, and how long in all. */
export interface Duration {
  count: number;
  ns: number;
}

/** Times of one finished inference, in milliseconds. */
export interface InferenceTimes {
  readonly queueMs: number;
  readonly preprocessMs: number;
  readonly computeMs: number;
}

/** Distinct batch sizes that are counted apart; later ones are only in the totals. */
const maxBatchSizes = 256;

function zero(): Duration {
  return { count: 0, ns: 0 };
}

function add(duration: Duration, ms: number): void {
  duration.count++;
  duration.ns += Math.round(ms * 1e6);
}

/** Totals since the model was loaded. */
export class ModelStatistics {
  readonly success = zero();
  readonly fail = zero();
  readonly queue = zero();
  /** Decoding of pictures. */
  readonly computeInput = zero();
  readonly computeInfer = zero();
  /** By rows of a call. */
  readonly batches = new Map<number, Duration>();
  /** Rows answered. */
  inferenceCount = 0;
  /** Calls answered. */
  executionCount = 0;
  /** Milliseconds since the Unix epoch; 0 before the first. */
  lastInferenceMs = 0;

  /** Counts an answered call. */
  succeeded(rows: number, times: InferenceTimes, wallMs: number): void {
    add(this.success, times.queueMs + times.preprocessMs + times.computeMs);
    add(this.queue, times.queueMs);
    add(this.computeInput, times.preprocessMs);
    add(this.computeInfer, times.computeMs);
    this.inferenceCount += rows;
    this.executionCount++;
    this.lastInferenceMs = wallMs;
    const known = this.batches.get(rows);
    if (known !== undefined) add(known, times.computeMs);
    else if (this.batches.size < maxBatchSizes)
      this.batches.set(rows, { count: 1, ns: Math.round(times.computeMs * 1e6) });
  }

  /** Counts a call that was refused or failed. */
  failed(tookMs: number): void {
    add(this.fail, tookMs);
  }
}
