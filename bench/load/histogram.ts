/** Latency histogram with logarithmic buckets: fixed memory, no allocation a value, relative error under 0.4 %. */

/** What a histogram says, all times in milliseconds. An empty histogram says 0 everywhere. */
export interface LatencySummary {
  readonly count: number;
  readonly meanMs: number;
  readonly minMs: number;
  readonly p50Ms: number;
  readonly p90Ms: number;
  readonly p95Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  readonly maxMs: number;
}

/** Values are kept in steps of 0.1 µs; the largest that fits 32 bits is 429 s, longer ones count as that. */
const UNITS_PER_MS = 10_000;
const MAX_UNITS = 0xffff_ffff;
/** 256 exact steps, then 128 buckets an octave: a bucket is at most 1/128 of its value wide. */
const LINEAR_BUCKETS = 256;
const BUCKETS_PER_OCTAVE_BITS = 7;
const BUCKET_COUNT = LINEAR_BUCKETS + (24 << BUCKETS_PER_OCTAVE_BITS);

function bucketOf(units: number): number {
  if (units < LINEAR_BUCKETS) return units;
  const shift = 31 - Math.clz32(units) - BUCKETS_PER_OCTAVE_BITS;
  return (shift << BUCKETS_PER_OCTAVE_BITS) + (units >>> shift);
}

function middleOf(bucket: number): number {
  if (bucket < LINEAR_BUCKETS) return bucket;
  const shift = (bucket >> BUCKETS_PER_OCTAVE_BITS) - 1;
  const width = 2 ** shift;
  return (bucket - (shift << BUCKETS_PER_OCTAVE_BITS)) * width + (width - 1) / 2;
}

/** Counts times; percentiles come from the bucket middles, minimum, maximum and mean from the exact values. */
export class LatencyHistogram {
  readonly #counts = new Uint32Array(BUCKET_COUNT);
  #count = 0;
  #sumMs = 0;
  #minMs = Number.POSITIVE_INFINITY;
  #maxMs = 0;

  /** Number of values recorded. */
  get count(): number {
    return this.#count;
  }

  /** Counts one time. Negative ones (a clock that stepped) count as 0. */
  record(ms: number): void {
    const value = ms > 0 ? ms : 0;
    const units = Math.min(MAX_UNITS, Math.round(value * UNITS_PER_MS));
    const bucket = bucketOf(units);
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
    this.#count += 1;
    this.#sumMs += value;
    if (value < this.#minMs) this.#minMs = value;
    if (value > this.#maxMs) this.#maxMs = value;
  }

  /** The smallest recorded time that at least `fraction` (0 to 1) of all times do not exceed; 0 when empty. */
  percentileMs(fraction: number): number {
    const rank = Math.max(1, Math.ceil(fraction * this.#count));
    if (this.#count === 0) return 0;
    if (rank >= this.#count) return this.#maxMs;
    let seen = 0;
    for (let bucket = 0; bucket < BUCKET_COUNT; bucket += 1) {
      seen += this.#counts[bucket] ?? 0;
      if (seen >= rank) return this.#within(middleOf(bucket) / UNITS_PER_MS);
    }
    return this.#maxMs;
  }

  /** The percentiles that reports print. */
  summary(): LatencySummary {
    const empty = this.#count === 0;
    return {
      count: this.#count,
      meanMs: empty ? 0 : this.#sumMs / this.#count,
      minMs: empty ? 0 : this.#minMs,
      p50Ms: this.percentileMs(0.5),
      p90Ms: this.percentileMs(0.9),
      p95Ms: this.percentileMs(0.95),
      p99Ms: this.percentileMs(0.99),
      p999Ms: this.percentileMs(0.999),
      maxMs: this.#maxMs,
    };
  }

  #within(ms: number): number {
    return Math.min(this.#maxMs, Math.max(this.#minMs, ms));
  }
}
