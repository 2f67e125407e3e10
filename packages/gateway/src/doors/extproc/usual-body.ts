/** How long bodies are of which nothing says so, as far as others tell. */

/** Share of the newest body in the mean. */
const newestShare = 1 / 32;

/** The mean length of the bodies that have come. */
export class UsualBody {
  #mean: number | undefined;

  /** Whole bytes; 0 before the first. */
  get bytes(): number {
    return Math.round(this.#mean ?? 0);
  }

  learn(bytes: number): void {
    this.#mean = this.#mean === undefined ? bytes : this.#mean + (bytes - this.#mean) * newestShare;
  }
}
