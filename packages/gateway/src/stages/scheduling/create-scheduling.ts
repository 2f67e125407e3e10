/**
 * Which endpoint of a pool takes a request: least outstanding work weighted by measured speed, where
 * the model is in memory first. An endpoint gives credit for as many attempts as its capacity; without
 * credit anywhere a request waits in the pool's line, which is drained as places come free.
 */
import type { ForwardDecision, ForwardRoute, HttpEndpoint, HttpPool } from "../../contracts/http-endpoint.ts";
import type { Scheduling } from "../../contracts/scheduling.ts";
import type { Clock } from "../../core/clock.ts";
import { failure, isFailure, type Failure } from "../../core/errors.ts";
import type { ForwardPayload } from "../../core/forward.ts";
import type { Random } from "../../core/random.ts";
import type { InferenceRequest } from "../../core/request.ts";
import { pickEndpoint } from "./pick-endpoint.ts";
import { RequestLease } from "./request-lease.ts";

/** What the stage needs. */
export interface SchedulingOptions {
  readonly clock: Clock;
  /** Breaks ties. */
  readonly random: Random;
  /** Hears of every request that left a line, or never got in, without a place. */
  readonly onRefused?: (route: ForwardRoute, reason: Failure) => void;
}

/** Makes the stage; it drains the line of every pool that it is asked about. */
export function createScheduling(options: SchedulingOptions): Scheduling {
  const { clock, random } = options;
  const drains = new WeakMap<HttpPool, () => void>();

  function drainOf(pool: HttpPool): () => void {
    const known = drains.get(pool);
    if (known !== undefined) return known;
    const drain = (): void => drainLine(pool);
    drains.set(pool, drain);
    pool.onRoom(drain);
    pool.line.onArrival(drain);
    return drain;
  }

  function drainLine(pool: HttpPool): void {
    const { line } = pool;
    const fits = (model: string): boolean => roomFor(pool, model) !== undefined;
    while (line.length > 0) {
      const [waiter] = line.take({ maxRows: 1, fits });
      if (waiter === undefined) return;
      const model = waiter.bound.shapeKey;
      const endpoint = roomFor(pool, model);
      if (endpoint === undefined) waiter.refuse(failure("internal"));
      else waiter.grant(hold({ pool, model }, endpoint, waiter.enqueuedAt));
    }
  }

  function roomFor(pool: HttpPool, model: string): HttpEndpoint | undefined {
    return pickEndpoint(pool.candidatesFor(model), { model, random, room: "needed" });
  }

  function hold({ pool, model }: ForwardRoute, endpoint: HttpEndpoint, enqueuedAt: number): RequestLease {
    return new RequestLease(endpoint, { model, enqueuedAt, grantedAt: clock.now() }, drainOf(pool));
  }

  return {
    decide(route, request) {
      const { pool, model } = route;
      drainOf(pool);
      const candidates = pool.candidatesFor(model);
      if (candidates.length === 0) return pool.refusalFor(model);
      if (pool.line.length > 0) return undefined;
      const endpoint = pickEndpoint(candidates, { model, random, room: "needed" });
      if (endpoint === undefined) return undefined;
      return decision(route, request, hold(route, endpoint, request.receivedAt));
    },
    wait(route, request, done) {
      drainOf(route.pool);
      route.pool.line.join({
        request,
        bound: { rows: 1, shapeKey: route.model },
        done: (result) => {
          if (result instanceof RequestLease) return done(decision(route, request, result));
          if (!isFailure(result)) throw new TypeError("a place that is not of this line");
          options.onRefused?.(route, result);
          done(result);
        },
      });
    },
    another(route, tried) {
      const { pool, model } = route;
      const candidates = pool.candidatesFor(model);
      if (candidates.length === 0) return soonest(pool.endpointsFor(model));
      // The one place of a server on trial is not shared; that of another is one of many.
      const open = candidates.filter(
        ({ state, inFlight, capacity }) => state === "ready" || inFlight < capacity,
      );
      const able = open.length > 0 ? open : candidates;
      const fresh = able.filter((endpoint) => !tried.includes(endpoint));
      return pickEndpoint(fresh.length > 0 ? fresh : able, { model, random, room: "wanted" });
    },
  };
}

/** The endpoint that asked to be left alone for the shortest time; undefined where none did. */
function soonest(endpoints: readonly HttpEndpoint[]): HttpEndpoint | undefined {
  let found: HttpEndpoint | undefined;
  for (const endpoint of endpoints) {
    const { pausedUntil } = endpoint;
    if (pausedUntil !== undefined && pausedUntil < (found?.pausedUntil ?? Infinity)) found = endpoint;
  }
  return found;
}

function decision(
  route: ForwardRoute,
  request: InferenceRequest<ForwardPayload>,
  lease: RequestLease,
): ForwardDecision {
  return { kind: "forward", request, route, endpoints: [lease.endpoint], lease };
}
