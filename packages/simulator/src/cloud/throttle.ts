/** How many requests of a token are let in. */
import type { Clock } from "../clock.ts";
import type { CloudOptions } from "./cloud-options.ts";

const MAX_WINDOWS = 10_000;

/** Counts requests in windows of a fixed length that begin with a token's first request. */
export class Throttle {
  readonly #clock: Clock;
  readonly #windows = new Map<string, { startedAt: number; taken: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Counts a request. 0 lets it in; otherwise the whole seconds after which the next is let in. */
  take(token: string, bound: CloudOptions["throttle"]): number {
    if (bound === undefined) return 0;
    const now = this.#clock.now();
    const window = this.#windows.get(token);
    if (window === undefined || now - window.startedAt >= bound.perMs) {
      if (this.#windows.size >= MAX_WINDOWS) this.#windows.clear();
      this.#windows.set(token, { startedAt: now, taken: 1 });
      return 0;
    }
    window.taken += 1;
    if (window.taken <= bound.requests) return 0;
    return Math.max(1, Math.ceil((window.startedAt + bound.perMs - now) / 1000));
  }
}
