/** Where requests go that name no model: any server of the pool that is ready. */
import type { ForwardCatalog, ForwardLease, HttpEndpoint, HttpPool } from "../../contracts/http-endpoint.ts";
import type { AddressSubset } from "../../core/address-subset.ts";
import { failure, isFailure, type Failure } from "../../core/errors.ts";
import type { Random } from "../../core/random.ts";
import type { Clock } from "../../core/clock.ts";
import { PickedRequest } from "./picked-request.ts";

/** What the choice depends on. */
export interface RandomPickOptions {
  readonly pools: Pick<ForwardCatalog, "pools">;
  readonly random: Random;
  readonly clock: Clock;
  readonly only: AddressSubset | undefined;
}

/** The only pool there is; more than one is a failure, since nothing says which is meant. */
export function pickAtRandom({ pools, random, clock, only }: RandomPickOptions): PickedRequest | Failure {
  const pool = onlyPool(pools.pools());
  if (isFailure(pool)) return pool;
  const endpoint = readyEndpoint(pool, random, only);
  if (endpoint === undefined) {
    return failure("no_endpoints", "failed to find endpoint candidates for serving the request");
  }
  return new PickedRequest({ clock, lease: holdOne(endpoint, clock.now()), endpoint, pool });
}

function onlyPool(pools: readonly HttpPool[]): HttpPool | Failure {
  const [pool, another] = pools;
  if (pool === undefined) return failure("no_endpoints", "no pods available in datastore");
  if (another === undefined) return pool;
  return failure("not_found", "The request names no model, and there are several pools");
}

/** Each with the same chance. */
function readyEndpoint(
  { endpoints }: HttpPool,
  random: Random,
  only: AddressSubset | undefined,
): HttpEndpoint | undefined {
  let chosen: HttpEndpoint | undefined;
  let seen = 0;
  for (const endpoint of endpoints) {
    if (endpoint.state !== "ready" || only?.admits(endpoint.address) === false) continue;
    seen++;
    if (random.unit() * seen < 1) chosen = endpoint;
  }
  return chosen;
}

/** A place at one server after the other, outside of any line. */
function holdOne(first: HttpEndpoint, now: number): ForwardLease {
  let held: HttpEndpoint | undefined = first;
  first.acquire();
  return {
    enqueuedAt: now,
    grantedAt: now,
    acquire(endpoint) {
      held = endpoint;
      endpoint.acquire();
    },
    release(endpoint, result) {
      if (held !== endpoint) return;
      held = undefined;
      endpoint.release(result);
    },
    settle() {},
  };
}
