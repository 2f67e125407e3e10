/** A budget for things a well-behaved peer does seldom: resets, pings, settings, empty frames. */

/** A token bucket: `burst` at once, `perSecond` in the long run. */
export class FloodGuard {
  readonly #burst: number;
  readonly #perMs: number;
  #left: number;
  #filledAt: number;

  constructor(limits: { readonly burst: number; readonly perSecond: number }, nowMs: number) {
    this.#burst = limits.burst;
    this.#perMs = limits.perSecond / 1000;
    this.#left = limits.burst;
    this.#filledAt = nowMs;
  }

  /** Takes one; false when the budget is used up. */
  take(nowMs: number): boolean {
    if (this.#left < 1) {
      this.#left = Math.min(this.#burst, this.#left + (nowMs - this.#filledAt) * this.#perMs);
      this.#filledAt = nowMs;
      if (this.#left < 1) return false;
    }
    this.#left -= 1;
    return true;
  }
}
