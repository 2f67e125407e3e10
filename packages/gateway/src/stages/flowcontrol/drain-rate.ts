/** How fast a line gets shorter at its front. */

/** Time over which the rate is averaged, ms: what happened that long ago counts a third of what happens now. */
const memoryMs = 10_000;

/** Events a millisecond, smoothed. */
export class DrainRate {
  #rate = 0;
  #at: number;
  readonly #since: number;

  constructor(now: number) {
    this.#at = now;
    this.#since = now;
  }

  /** A request was given its place. */
  count(now: number): void {
    this.#rate = this.#decayed(now) + 1 / memoryMs;
    this.#at = now;
  }

  /** Undefined where nothing is known: no event, or none for so long that it says nothing. */
  perMs(now: number): number | undefined {
    const rate = this.#decayed(now);
    // Of a line that is younger than the memory, only the time there was.
    const seen = 1 - Math.exp(-Math.max(1, now - this.#since) / memoryMs);
    return rate < 1e-7 ? undefined : rate / seen;
  }

  #decayed(now: number): number {
    return this.#rate * Math.exp((this.#at - now) / memoryMs);
  }
}
