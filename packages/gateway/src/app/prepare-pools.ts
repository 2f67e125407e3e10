/** The pools of another configuration: those that are the same go on, others are made beside them. Loaded when one comes. */
import type { HttpPool } from "../contracts/http-endpoint.ts";
import { isHttpPool, type HttpPoolOptions, type PoolOptions } from "../contracts/options.ts";
import { sleep, type Clock } from "../core/clock.ts";
import { GatewayError } from "../core/errors.ts";
import type { PoolSet } from "../endpoints/pool-set.ts";
import { readPoolAccess } from "../endpoints/server-access.ts";
import type { ServerPool } from "../endpoints/server-pool.ts";
import { canonical } from "./canonical.ts";

/** How long new pools may ask their servers what they serve before requests come, ms. */
const settleMs = 5_000;
const lookMs = 20;

/** What making pools needs. */
export interface PreparePoolsParts {
  readonly catalog: PoolSet;
  readonly createPool: (options: HttpPoolOptions) => ServerPool;
  /** True while no request has anything to do with the pool. */
  readonly isIdle: (pool: HttpPool) => boolean;
  readonly clock: Clock;
}

/** Pools that may take their place. One of the two is called, once. */
export interface PreparedPools {
  /** Names of those that are new, other or gone. */
  readonly changed: readonly string[];
  commit(): void;
  discard(): void;
}

/** Of two configurations, in the order of the file. */
export interface PoolLists {
  readonly current: readonly PoolOptions[];
  readonly next: readonly PoolOptions[];
}

/**
 * Rejects with a `GatewayError` for a change that has to wait for a restart, or a pool that cannot be made. New pools have
 * asked their servers what they serve when it resolves, or could not within five seconds.
 */
export async function preparePools(parts: PreparePoolsParts, lists: PoolLists): Promise<PreparedPools> {
  const { catalog, createPool, isIdle, clock } = parts;
  refuseOthers(lists);
  const before = new Map(
    lists.current.filter(isHttpPool).map(({ name }) => [name, poolNamed(catalog, name)]),
  );
  refuseTaken(catalog, before, lists.next);
  const made: ServerPool[] = [];
  const discard = (): void => {
    for (const pool of made) pool.close();
  };
  try {
    const pools = lists.next.filter(isHttpPool).map((options) => {
      const known = before.get(options.name);
      if (known !== undefined && isSame(known, options)) return known;
      requirePlain(known?.options);
      requirePlain(options);
      const pool = createPool(options);
      made.push(pool);
      return pool;
    });
    const gone = [...before.values()].filter((pool) => pool !== undefined && !pools.includes(pool));
    for (const pool of gone) requirePlain(pool?.options);
    await settled(made, clock);
    return {
      changed: [...new Set([...made, ...gone].flatMap((pool) => pool?.name ?? []))],
      discard,
      commit() {
        catalog.setConfigured(pools);
        for (const pool of gone) if (pool !== undefined) catalog.retire(pool, isIdle, clock);
      },
    };
  } catch (error) {
    discard();
    throw error;
  }
}

function poolNamed(catalog: PoolSet, name: string): ServerPool | undefined {
  return catalog.pools().find((pool) => pool.name === name);
}

/** By what its options say, and by what the files that they name hold. */
function isSame(pool: ServerPool, options: HttpPoolOptions): boolean {
  return (
    canonical(pool.options) === canonical(options) &&
    canonical(pool.access) === canonical(readPoolAccess(options))
  );
}

async function settled(pools: readonly ServerPool[], clock: Clock): Promise<void> {
  const until = clock.now() + settleMs;
  for (const pool of pools) void pool.start();
  while (pools.some((pool) => !pool.settled) && clock.now() < until) await sleep(clock, lookMs);
}

/** Servers that speak gRPC belong to the start. */
function refuseOthers({ current, next }: PoolLists): void {
  const others = (pools: readonly PoolOptions[]) => pools.filter((pool) => !isHttpPool(pool));
  const known = new Map(others(current).map((pool) => [pool.name, canonical(pool)]));
  for (const pool of others(next)) {
    if (known.get(pool.name) !== canonical(pool)) throw needsRestart(pool.name, "its servers speak gRPC");
    known.delete(pool.name);
  }
  for (const name of known.keys()) throw needsRestart(name, "its servers speak gRPC");
}

/** Pools of the gateway's own, and of servers found on this machine, have names too. */
function refuseTaken(
  catalog: PoolSet,
  before: ReadonlyMap<string, unknown>,
  next: readonly PoolOptions[],
): void {
  const taken = next.find(({ name }) => !before.has(name) && poolNamed(catalog, name) !== undefined);
  if (taken !== undefined) throw needsRestart(taken.name, "its name is that of a pool of the gateway's own");
}

/** What watches and feeds scheduling, flow control and metrics is put together at the start. */
function requirePlain(options: HttpPoolOptions | undefined): void {
  if (options === undefined) return;
  const { scheduling, flow, data, name } = options;
  if ((scheduling ?? flow ?? data) === undefined) return;
  throw needsRestart(name, "it has scheduling, flow control, metrics or discovery of its own");
}

function needsRestart(name: string, why: string): GatewayError {
  return new GatewayError("bad_request", `pools.${name}: cannot change without a restart: ${why}`);
}
