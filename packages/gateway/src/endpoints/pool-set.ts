/** All pools of HTTP servers: those of the configuration in its order, the gateway's own, then those found on this machine. */
import type { ForwardCatalog, PooledModel } from "../contracts/http-endpoint.ts";
import type { RouteOptions, RouteTarget } from "../contracts/options.ts";
import type { Clock } from "../core/clock.ts";
import { isSameModel, otherName } from "../core/model-name.ts";
import type { ServerPool } from "./server-pool.ts";

/** What may still bring pools: the start itself, servers on this machine, the engine for GGUF files. */
export type Search = "start" | "discovery" | "engine";

/** How often a pool is looked at that is to be closed, ms. */
const retireMs = 250;

/** The pools there are now. */
export class PoolSet implements ForwardCatalog {
  #routes: readonly RouteOptions[];
  #configured: readonly ServerPool[];
  /** Taken out, and not closed yet: requests are under way there. */
  readonly #retired = new Set<ServerPool>();
  #isClosed = false;
  #own: readonly ServerPool[] = [];
  #found: readonly ServerPool[] = [];
  #pools: readonly ServerPool[];
  /** What is still looked for. */
  readonly #pending = new Set<Search>(["start"]);
  /** What comes later is news, and no reason to take no requests for what was there. */
  #wasReady = false;

  constructor(pools: readonly ServerPool[], routes: readonly RouteOptions[]) {
    this.#configured = pools;
    this.#pools = pools;
    this.#routes = routes;
  }

  pools(): readonly ServerPool[] {
    return this.#pools;
  }

  /** Takes the place of all routes so far. */
  setRoutes(routes: readonly RouteOptions[]): void {
    this.#routes = routes;
  }

  /** The pools of the configuration. One that is left out is to be retired. */
  setConfigured(pools: readonly ServerPool[]): void {
    this.#configured = pools;
    this.#join();
  }

  /** All pools, and behind them those where requests are under way that are no longer in the set. */
  all(): readonly ServerPool[] {
    return [...this.#pools, ...this.#retired];
  }

  /** A pool that was left out: closed once `isIdle`, or with the set. */
  retire(pool: ServerPool, isIdle: (pool: ServerPool) => boolean, clock: Clock): void {
    this.#retired.add(pool);
    const look = (): void => {
      if (this.#isClosed || isIdle(pool)) {
        pool.close();
        this.#retired.delete(pool);
      } else clock.after(retireMs, look);
    };
    clock.after(retireMs, look);
  }

  /** While something is still looked for, the set is not ready. */
  setPending(search: Search, pending: boolean): void {
    if (pending) this.#pending.add(search);
    else this.#pending.delete(search);
  }

  /** The gateway's own pools, behind those of the configuration. One that is left out is the caller's to close. */
  setOwn(pools: readonly ServerPool[]): void {
    this.#own = pools;
    this.#join();
  }

  /** The pools behind all others. */
  setFound(pools: readonly ServerPool[]): void {
    this.#found = pools;
    this.#join();
  }

  #join(): void {
    this.#pools = [...this.#configured, ...this.#own, ...this.#found];
  }

  models(): readonly PooledModel[] {
    const all = this.#pools.flatMap((pool) => pool.models());
    const shown = new Map<string, PooledModel>();
    const routed = new Set<string>();
    for (const { model, targets } of this.#routes) {
      routed.add(model).add(otherName(model) ?? model);
      const first = targets.map((each) => findTarget(all, each)).find((each) => each !== undefined);
      if (first !== undefined) shown.set(model, { ...first, name: model });
    }
    for (const model of all) {
      if (!routed.has(model.name) && this.#isAsked(model)) shown.set(model.name, model);
    }
    return [...shown.values()];
  }

  /** True for a model of the pool to which requests for its name go. */
  #isAsked({ name, pool }: PooledModel): boolean {
    return this.#pools.find((each) => each.endpointsFor(name).length > 0)?.name === pool;
  }

  ready(): boolean {
    this.#wasReady ||= this.#pending.size === 0 && this.#pools.every((pool) => pool.settled);
    return this.#wasReady;
  }

  /** Idempotent. */
  close(): void {
    this.#isClosed = true;
    for (const pool of this.all()) pool.close();
  }
}

/** The model that a route means; an Ollama server lists it with its tag. */
function findTarget(all: readonly PooledModel[], { pool, model }: RouteTarget): PooledModel | undefined {
  const mine = all.filter((each) => each.pool === pool);
  return (
    mine.find(({ name }) => name === model) ??
    mine.find(({ name, dialects }) => dialects.includes("ollama") && isSameModel(name, model))
  );
}
