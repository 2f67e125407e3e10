/**
 * Which endpoint of a pool takes a request: what the pool's profiles choose among endpoints with room. An endpoint gives
 * credit for as many attempts as its capacity; without credit anywhere a request waits in the pool's line, which is
 * drained as places come free.
 */
import type { ForwardRoute, HttpPool } from "../../contracts/http-endpoint.ts";
import type { CycleTracer } from "../../contracts/plugins/scheduling.ts";
import type { WiredScheduling } from "../../contracts/plugins/wired-scheduling.ts";
import type { Scheduling } from "../../contracts/scheduling.ts";
import type { Clock } from "../../core/clock.ts";
import { isFailure, type Failure } from "../../core/errors.ts";
import { PoolScheduler } from "./pool-scheduler.ts";
import { ProfileEngine } from "./profile-engine.ts";

/** What the stage needs. */
export interface SchedulingOptions {
  readonly clock: Clock;
  /** Makes the layer of a pool that brings none of its own. */
  readonly defaultProfiles: () => WiredScheduling;
  /** Hears of every request that left a line, or never got in, without a place. */
  readonly onRefused?: (route: ForwardRoute, reason: Failure) => void;
  /** Hears of the cycles of a pool. */
  readonly tracerOf?: (pool: HttpPool) => CycleTracer | undefined;
  /** A plugin has thrown; it was left out of its cycle. */
  readonly onFault?: (plugin: string, error: unknown) => void;
}

/** The stage, and what it knows of pools. */
export interface PoolScheduling extends Scheduling {
  /** True while no request waits for the pool, is under way there or is between two attempts. */
  isIdle(pool: HttpPool): boolean;
}

/** Makes the stage; it drains the line of every pool that it is asked about. */
export function createScheduling(options: SchedulingOptions): PoolScheduling {
  const { clock, defaultProfiles, onFault = () => undefined } = options;
  const schedulers = new WeakMap<HttpPool, PoolScheduler>();

  function of(pool: HttpPool): PoolScheduler {
    const known = schedulers.get(pool);
    if (known !== undefined) return known;
    const tracer = options.tracerOf?.(pool);
    const engine = new ProfileEngine(pool.scheduling ?? defaultProfiles(), { onFault, tracer });
    const made = new PoolScheduler({ pool, engine, clock, onFault });
    schedulers.set(pool, made);
    return made;
  }

  return {
    isIdle: (pool) => schedulers.get(pool)?.isIdle !== false,
    decide: (route, request) => of(route.pool).decide(route, request),
    wait(route, request, done) {
      of(route.pool).wait(route, request, (result) => {
        if (isFailure(result)) options.onRefused?.(route, result);
        done(result);
      });
    },
    another: (route, tried, decision) => of(route.pool).another(route, tried, decision),
  };
}
