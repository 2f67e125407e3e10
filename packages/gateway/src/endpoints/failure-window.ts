/** How many of the last attempts failed, over a sliding time. */

/** Length of the window, ms, in parts that are forgotten one by one. */
const windowMs = 30_000;
const parts = 10;
const partMs = windowMs / parts;
/** Fewer attempts than this say nothing. */
const leastAttempts = 20;
const badShare = 0.5;

/** Counts good and bad ends. */
export class FailureWindow {
  readonly #good = new Float64Array(parts);
  readonly #bad = new Float64Array(parts);
  #part = 0;

  /** Counts one, at a time that never goes back, ms. */
  add(now: number, good: boolean): void {
    this.#moveTo(now);
    const counts = good ? this.#good : this.#bad;
    const index = this.#part % parts;
    counts[index] = (counts[index] ?? 0) + 1;
  }

  /** True where at least half of at least 20 attempts within 30 s failed. */
  isBad(now: number): boolean {
    this.#moveTo(now);
    const sum = (counts: Float64Array): number => counts.reduce((total, count) => total + count, 0);
    const bad = sum(this.#bad);
    const all = bad + sum(this.#good);
    return all >= leastAttempts && bad >= badShare * all;
  }

  /** Forgets everything. */
  clear(): void {
    this.#good.fill(0);
    this.#bad.fill(0);
  }

  #moveTo(now: number): void {
    const part = Math.floor(now / partMs);
    const steps = Math.min(part - this.#part, parts);
    for (let step = 1; step <= steps; step++) {
      const index = (part - steps + step) % parts;
      this.#good[index] = 0;
      this.#bad[index] = 0;
    }
    this.#part = Math.max(part, this.#part);
  }
}
