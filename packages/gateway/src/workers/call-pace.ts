/** How long an instance's calls take, and so when it will want the next one. */

/** Below this a call is over before a timer could say so, and its way there and back cost as much as its run. */
const longCallMs = 4;

/** The part of a call after which the next one is sent: what is left covers the way to the instance. */
const nearlyDone = 0.75;

/** The calls of one instance that runs one at a time. Times are of one clock, ms. */
export class CallPace {
  #calls = 0;
  /** When the instance can have begun the oldest call that is not over. */
  #since = 0;
  #lastMs = 0;

  /** A call is on its way. */
  began(now: number): void {
    if (this.#calls++ === 0) this.#since = now;
  }

  /** The oldest call is over; the instance goes on with the next, if there is one. */
  ended(now: number): void {
    this.#calls--;
    this.#lastMs = now - this.#since;
    this.#since = now;
  }

  /** When the running call is nearly done, taking it to last as long as the one before; undefined: calls are too short to tell. */
  get nearlyDoneAt(): number | undefined {
    return this.#lastMs < longCallMs ? undefined : this.#since + nearlyDone * this.#lastMs;
  }
}
