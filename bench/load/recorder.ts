/** Accounts for what happens in the measured window of a run: counters in fixed arrays, nothing allocated a request. */
import { LatencyHistogram } from "./histogram.ts";
import { FAILURE_KINDS } from "./load-result.ts";
import type { FailureKind, GeneratorCost, LoadResult, LoadSeries } from "./load-result.ts";

const MAX_STATUS = 1000;
const MAX_INTERVALS = 10_000;

/** Counters over time, of bounded length: what comes after the last interval is left out. */
class Series {
  readonly #intervalMs: number;
  readonly #ok: number[] = [];
  readonly #errors: number[] = [];
  readonly #maxMs: number[] = [];

  constructor(intervalMs: number) {
    this.#intervalMs = intervalMs;
  }

  count(sinceStartMs: number, latencyMs: number, outcome: "ok" | "error"): void {
    const index = Math.floor(sinceStartMs / this.#intervalMs);
    if (index < 0 || index >= MAX_INTERVALS) return;
    while (this.#ok.length <= index) this.#grow();
    const counts = outcome === "ok" ? this.#ok : this.#errors;
    counts[index] = (counts[index] ?? 0) + 1;
    this.#maxMs[index] = Math.max(this.#maxMs[index] ?? 0, latencyMs);
  }

  result(): LoadSeries {
    return { intervalMs: this.#intervalMs, ok: this.#ok, errors: this.#errors, maxMs: this.#maxMs };
  }

  #grow(): void {
    this.#ok.push(0);
    this.#errors.push(0);
    this.#maxMs.push(0);
  }
}

/** How a window is accounted. */
export interface RecorderOptions {
  readonly seriesIntervalMs: number | undefined;
  /**
   * What makes the rate: good answers that arrived in the window (`arrivals`), or good answers to the window's requests
   * (`requests`: of a run bounded by count, whose window ends with its last answer).
   */
  readonly rateOf: "arrivals" | "requests";
}

/**
 * The window is the half-open range of times [start, end). A request belongs to it by its intended send time; only the
 * rate is counted by arrival. All times are milliseconds of one monotonic clock.
 */
export class Recorder {
  readonly #latency = new LatencyHistogram();
  readonly #sendLag = new LatencyHistogram();
  readonly #eventDelay = new LatencyHistogram();
  readonly #firstEvent = new LatencyHistogram();
  readonly #statuses = new Uint32Array(MAX_STATUS);
  readonly #failures = new Uint32Array(FAILURE_KINDS.length);
  readonly #series: Series | null;
  readonly #startMs: number;
  readonly #rateOf: RecorderOptions["rateOf"];
  #endMs = Number.POSITIVE_INFINITY;
  #okMeasured = 0;
  #okInWindow = 0;
  #errors = 0;
  #waitedForSlot = 0;

  constructor(startMs: number, options: RecorderOptions) {
    this.#startMs = startMs;
    this.#rateOf = options.rateOf;
    this.#series = options.seriesIntervalMs === undefined ? null : new Series(options.seriesIntervalMs);
  }

  /** Ends the window. Answers that come later still count for requests that belong to it, not for the rate. */
  endWindow(endMs: number): void {
    this.#endMs = endMs;
  }

  /** A request found a free slot and was sent this late. */
  sentFreely(intendedMs: number, nowMs: number): void {
    if (this.#measures(intendedMs)) this.#sendLag.record(nowMs - intendedMs);
  }

  /** A request was sent after waiting for a slot. */
  sentAfterWait(intendedMs: number): void {
    if (this.#measures(intendedMs)) this.#waitedForSlot += 1;
  }

  /** A whole answer. */
  answered(intendedMs: number, nowMs: number, status: number, ok: boolean): void {
    if (ok && nowMs >= this.#startMs && nowMs < this.#endMs) this.#okInWindow += 1;
    if (!this.#measures(intendedMs)) return;
    const index = status >= 0 && status < MAX_STATUS ? status : MAX_STATUS - 1;
    this.#statuses[index] = (this.#statuses[index] ?? 0) + 1;
    if (ok) {
      this.#okMeasured += 1;
      this.#latency.record(nowMs - intendedMs);
    } else this.#errors += 1;
    this.#series?.count(nowMs - this.#startMs, nowMs - intendedMs, ok ? "ok" : "error");
  }

  /** An event of a stream arrived after so long. */
  event(nowMs: number, delayMs: number): void {
    if (nowMs >= this.#startMs && nowMs < this.#endMs) this.#eventDelay.record(delayMs);
  }

  /** The first event of a request's answer. */
  firstEvent(intendedMs: number, nowMs: number): void {
    if (this.#measures(intendedMs)) this.#firstEvent.record(nowMs - intendedMs);
  }

  /** No answer that counts. */
  failed(intendedMs: number, nowMs: number, kind: FailureKind): void {
    if (!this.#measures(intendedMs)) return;
    const index = FAILURE_KINDS.indexOf(kind);
    this.#failures[index] = (this.#failures[index] ?? 0) + 1;
    this.#errors += 1;
    this.#series?.count(nowMs - this.#startMs, nowMs - intendedMs, "error");
  }

  /** The account. Valid once `endWindow` was called and nothing is in flight. */
  result(generator: GeneratorCost): LoadResult {
    const windowMs = Math.max(this.#endMs - this.#startMs, Number.MIN_VALUE);
    return {
      requests: this.#okMeasured + this.#errors,
      ok: this.#okMeasured,
      errors: this.#errors,
      statuses: nonZero(Array.from(this.#statuses, (count, status) => [String(status), count])),
      failures: nonZero(FAILURE_KINDS.map((kind, index) => [kind, this.#failures[index] ?? 0])),
      windowMs,
      ratePerSecond: ((this.#rateOf === "arrivals" ? this.#okInWindow : this.#okMeasured) / windowMs) * 1000,
      latency: this.#latency.summary(),
      sendLag: this.#sendLag.summary(),
      waitedForSlot: this.#waitedForSlot,
      generator,
      ...(this.#series === null ? {} : { series: this.#series.result() }),
      ...(this.#eventDelay.count === 0
        ? {}
        : { events: { delay: this.#eventDelay.summary(), first: this.#firstEvent.summary() } }),
    };
  }

  #measures(intendedMs: number): boolean {
    return intendedMs >= this.#startMs && intendedMs < this.#endMs;
  }
}

function nonZero(entries: readonly (readonly [string, number])[]): Record<string, number> {
  return Object.fromEntries(entries.filter(([, count]) => count > 0));
}
