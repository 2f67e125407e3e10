/** When a second attempt is made beside a slow first: late, seldom, and only where there is room to spare. */
import type { ForwardRoute, HttpPool } from "../../contracts/http-endpoint.ts";
import { RecentQuantile } from "./recent-quantile.ts";
import { SlidingCount } from "./sliding-count.ts";

/** Window over which the share of hedged requests is kept, ms. */
const shareWindowMs = 60_000;

/** Models of a pool whose times are known; further ones are not hedged. */
const maxModels = 256;

/** The part of first tokens that come before a hedge is made. */
const quantile = 0.95;

interface PoolHedging {
  readonly requests: SlidingCount;
  readonly hedges: SlidingCount;
  readonly firstTokens: Map<string, RecentQuantile>;
}

/** Knows the times to the first token of pools that hedge. */
export class Hedging {
  readonly #pools = new WeakMap<HttpPool, PoolHedging>();

  /** Counts a request. Gives the time after which its first attempt counts as slow, ms; undefined for never. */
  slowAfterMs({ pool, model }: ForwardRoute, now: number): number | undefined {
    if (pool.retry.hedging === undefined) return undefined;
    const { requests, firstTokens } = this.#of(pool);
    requests.add(now);
    return firstTokens.get(model)?.value;
  }

  /** The first attempt's time to the first content. */
  observe({ pool, model }: ForwardRoute, firstTokenMs: number): void {
    if (pool.retry.hedging === undefined) return;
    const { firstTokens } = this.#of(pool);
    let times = firstTokens.get(model);
    if (times === undefined) {
      if (firstTokens.size >= maxModels) return;
      times = new RecentQuantile(quantile);
      firstTokens.set(model, times);
    }
    times.add(firstTokenMs);
  }

  /** Whether the pool has had few enough hedges and is under half its capacity. */
  mayLaunch({ pool, model }: ForwardRoute, now: number): boolean {
    const options = pool.retry.hedging;
    if (options === undefined) return false;
    const { requests, hedges } = this.#of(pool);
    if (hedges.sum(now) + 1 > options.maxShare * requests.sum(now)) return false;
    let inFlight = 0;
    let capacity = 0;
    for (const endpoint of pool.candidatesFor(model)) {
      inFlight += endpoint.inFlight;
      capacity += endpoint.capacity;
    }
    return inFlight * 2 < capacity;
  }

  launched({ pool }: ForwardRoute, now: number): void {
    this.#of(pool).hedges.add(now);
  }

  #of(pool: HttpPool): PoolHedging {
    const known = this.#pools.get(pool);
    if (known !== undefined) return known;
    const made: PoolHedging = {
      requests: new SlidingCount(shareWindowMs),
      hedges: new SlidingCount(shareWindowMs),
      firstTokens: new Map(),
    };
    this.#pools.set(pool, made);
    return made;
  }
}
