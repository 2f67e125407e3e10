/** All pools of HTTP servers: those of the configuration in its order, then those found on this machine. */
import type { ForwardCatalog, PooledModel } from "../contracts/http-endpoint.ts";
import type { RouteOptions } from "../contracts/options.ts";
import type { ServerPool } from "./server-pool.ts";

/** The pools there are now. */
export class PoolSet implements ForwardCatalog {
  readonly #routes: readonly RouteOptions[];
  readonly #configured: readonly ServerPool[];
  #pools: readonly ServerPool[];
  #complete = true;

  constructor(pools: readonly ServerPool[], routes: readonly RouteOptions[]) {
    this.#configured = pools;
    this.#pools = pools;
    this.#routes = routes;
  }

  pools(): readonly ServerPool[] {
    return this.#pools;
  }

  /** False while servers are still looked for: the set is not ready before. */
  setComplete(complete: boolean): void {
    this.#complete = complete;
  }

  /** The pools behind those of the configuration. */
  setFound(pools: readonly ServerPool[]): void {
    this.#pools = [...this.#configured, ...pools];
  }

  models(): readonly PooledModel[] {
    const all = this.#pools.flatMap((pool) => pool.models());
    const shown = new Map<string, PooledModel>();
    for (const { model, targets } of this.#routes) {
      const target = targets.map((each) =>
        all.find(({ pool, name }) => pool === each.pool && name === each.model),
      );
      const first = target.find((each) => each !== undefined);
      if (first !== undefined) shown.set(model, { ...first, name: model });
    }
    for (const model of all) if (!shown.has(model.name)) shown.set(model.name, model);
    return [...shown.values()];
  }

  ready(): boolean {
    return this.#complete && this.#pools.every((pool) => pool.settled);
  }

  /** Idempotent. */
  close(): void {
    for (const pool of this.#pools) pool.close();
  }
}
