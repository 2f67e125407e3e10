/** How often something happened lately. */

const slots = 10;

/** Counts over a sliding window of ten slots. Times are ms on one clock and do not go back. */
export class SlidingCount {
  readonly #slotMs: number;
  readonly #counts = new Float64Array(slots);
  #slot = 0;
  #sum = 0;

  constructor(windowMs: number) {
    this.#slotMs = windowMs / slots;
  }

  add(now: number): void {
    this.#advance(now);
    const index = this.#slot % slots;
    this.#counts[index] = (this.#counts[index] ?? 0) + 1;
    this.#sum++;
  }

  sum(now: number): number {
    this.#advance(now);
    return this.#sum;
  }

  #advance(now: number): void {
    const slot = Math.floor(now / this.#slotMs);
    if (slot <= this.#slot) return;
    if (slot - this.#slot >= slots) {
      this.#counts.fill(0);
      this.#sum = 0;
    } else {
      for (let passed = this.#slot + 1; passed <= slot; passed++) {
        const index = passed % slots;
        this.#sum -= this.#counts[index] ?? 0;
        this.#counts[index] = 0;
      }
    }
    this.#slot = slot;
  }
}
