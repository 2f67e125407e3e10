/** Pools of the servers that were found on this machine: one for each make. */
import type { HttpPoolOptions } from "../contracts/options.ts";
import { Discovery, type DiscoveryOptions, type FoundServer } from "./discovery.ts";
import type { PoolSet } from "./pool-set.ts";
import type { ServerPool } from "./server-pool.ts";

/** What it needs beside what the search does. */
export interface FoundPoolsOptions extends Omit<DiscoveryOptions, "isGone" | "onChange"> {
  readonly pools: PoolSet;
  /** Options of a pool of that name. */
  readonly describe: (
    name: string,
    dialect: FoundServer["dialect"],
    urls: readonly string[],
  ) => HttpPoolOptions;
  readonly createPool: (options: HttpPoolOptions) => ServerPool;
  /** What can be asked for has changed. */
  readonly onChange: () => void;
}

/** Searches and keeps the pools in step with what is found. */
export class FoundPools {
  readonly #options: FoundPoolsOptions;
  readonly #discovery: Discovery;
  readonly #pools = new Map<string, ServerPool>();
  /** Servers that were away the last time as well: one that restarts stays. */
  readonly #away = new Set<string>();

  constructor(options: FoundPoolsOptions) {
    this.#options = options;
    this.#discovery = new Discovery({
      ...options,
      isGone: (server) => this.#isGone(server),
      onChange: (servers) => this.#update(servers),
    });
  }

  /** Resolves when every spot was looked at once; never rejects. */
  async start(): Promise<void> {
    const { pools, onChange } = this.#options;
    pools.setPending("discovery", true);
    await this.#discovery.start();
    pools.setPending("discovery", false);
    onChange();
  }

  /** Ends the search; the pools are closed with the set. Idempotent. */
  close(): void {
    this.#discovery.close();
  }

  #isGone({ make, url }: FoundServer): boolean {
    const { host } = new URL(url);
    const endpoint = this.#pools.get(make)?.endpoints.find(({ id }) => id.endsWith(`/${host}`));
    const away =
      endpoint === undefined || endpoint.state === "unhealthy" || endpoint.state === "misconfigured";
    const gone = away && this.#away.has(url);
    if (away && !gone) this.#away.add(url);
    else this.#away.delete(url);
    return gone;
  }

  #update(servers: readonly FoundServer[]): void {
    const byMake = Map.groupBy(servers, ({ make }) => make);
    for (const [make, pool] of this.#pools) {
      if (byMake.has(make as FoundServer["make"])) continue;
      this.#pools.delete(make);
      pool.close();
    }
    for (const [make, those] of byMake) {
      const urls = those.map(({ url }) => url);
      const pool = this.#pools.get(make);
      if (pool === undefined) this.#add(make, those[0]?.dialect ?? "openai", urls);
      else pool.setEndpoints(urls);
    }
    this.#options.pools.setFound([...this.#pools.values()]);
    this.#options.onChange();
  }

  #add(make: string, dialect: FoundServer["dialect"], urls: readonly string[]): void {
    const { pools, describe, createPool } = this.#options;
    // A pool of the configuration may have the name; metrics and routes tell pools apart by it.
    const taken = new Set(pools.pools().map(({ name }) => name));
    const name = taken.has(make) ? `${make}-found` : make;
    const pool = createPool(describe(name, dialect, urls));
    this.#pools.set(make, pool);
    void pool.start();
  }
}
