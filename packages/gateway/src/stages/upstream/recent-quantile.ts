/** A quantile of the last values, for values that come one by one. */

const kept = 256;

/** Values before which nothing is said, and after how many it is worked out anew. */
const needed = 20;
const refreshEvery = 16;

/** Keeps the last 256 values. */
export class RecentQuantile {
  readonly #quantile: number;
  readonly #values = new Float64Array(kept);
  #count = 0;
  #computedAt = 0;
  #value: number | undefined;

  /** `quantile` is between 0 and 1. */
  constructor(quantile: number) {
    this.#quantile = quantile;
  }

  add(value: number): void {
    this.#values[this.#count % kept] = value;
    this.#count++;
  }

  /** Undefined before there are 20 values; at most 16 values old. */
  get value(): number | undefined {
    if (this.#count < needed) return undefined;
    if (this.#value === undefined || this.#count - this.#computedAt >= refreshEvery) {
      const sorted = this.#values.slice(0, Math.min(this.#count, kept)).sort();
      this.#value = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * this.#quantile))];
      this.#computedAt = this.#count;
    }
    return this.#value;
  }
}
