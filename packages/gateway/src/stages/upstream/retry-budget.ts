/**
 * One allowance of further attempts for all pools of the process, so that retries cannot multiply the
 * load of an outage: a share of the requests of the last ten seconds, and a few a second besides for
 * processes with little traffic.
 */
import { SlidingCount } from "./sliding-count.ts";

/** How much may be tried again. */
export interface RetryBudgetOptions {
  /** Further attempts as a part of the requests, 0 to 1. */
  readonly share: number;
  /** Further attempts a second that are allowed besides. */
  readonly minPerSecond: number;
}

/** One further attempt in five requests, and three a second. */
export const defaultRetryBudget: RetryBudgetOptions = { share: 0.2, minPerSecond: 3 };

const windowMs = 10_000;

/** Counts requests and what they draw. Times are ms on one clock. */
export class RetryBudget {
  readonly #options: RetryBudgetOptions;
  readonly #requests = new SlidingCount(windowMs);
  readonly #drawn = new SlidingCount(windowMs);

  constructor(options: RetryBudgetOptions) {
    this.#options = options;
  }

  /** A request's first attempt. */
  request(now: number): void {
    this.#requests.add(now);
  }

  /** Further attempts that may be made now. */
  available(now: number): number {
    const { share, minPerSecond } = this.#options;
    const allowed = share * this.#requests.sum(now) + (minPerSecond * windowMs) / 1_000;
    return Math.max(0, Math.floor(allowed - this.#drawn.sum(now)));
  }

  /** Draws one further attempt; false where there is none left. */
  draw(now: number): boolean {
    if (this.available(now) < 1) return false;
    this.#drawn.add(now);
    return true;
  }
}
