/** When a line has to look for requests whose time is over. */
import type { Clock, Timer } from "../../core/clock.ts";

/** A look at this many waiting requests is worth one millisecond's wait, so that looking never takes more than a small share of the time. */
const requestsPerMs = 2_000;

/** One timer a line, set to the earliest time it has heard of; it may fire early, and late only in a line of thousands: a millisecond for 2,000. */
export class ExpiryWatch {
  readonly #clock: Clock;
  readonly #look: () => void;
  #timer: Timer | undefined;
  #timerAt = Infinity;
  #lookedAt = -Infinity;

  constructor(clock: Clock, look: () => void) {
    this.#clock = clock;
    this.#look = look;
  }

  /** A request's time is over at `expiresAt`; `length` are in line. */
  watch(expiresAt: number, now: number, length: number): void {
    if (expiresAt === Infinity || expiresAt >= this.#timerAt) return;
    this.#timer?.cancel();
    this.#timerAt = expiresAt;
    const at = Math.max(expiresAt, this.#lookedAt + Math.floor(length / requestsPerMs));
    this.#timer = this.#clock.after(Math.max(0, at - now), () => {
      this.#timer = undefined;
      this.#timerAt = Infinity;
      this.#lookedAt = this.#clock.now();
      this.#look();
    });
  }

  /** Forgets all times. */
  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#timerAt = Infinity;
  }
}
