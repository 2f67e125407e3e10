/** What watches pools that have scheduling of their own: metrics under the Endpoint Picker's names, explained decisions. */
import type { PickerPool } from "../admin/picker-route.ts";
import type { Explanations } from "../contracts/explanation.ts";
import type { ForwardCatalog, ForwardRoute, HttpPool } from "../contracts/http-endpoint.ts";
import { isHttpPool } from "../contracts/options.ts";
import type {
  CycleTracer,
  RequestObserver,
  ScheduledRequest,
  SchedulingSpec,
} from "../contracts/plugins/scheduling.ts";
import type { WiredScheduling } from "../contracts/plugins/wired-scheduling.ts";
import type { ForwardRecord } from "../contracts/request-record.ts";
import type { Scheduling } from "../contracts/scheduling.ts";
import { isFailure, type ErrorCode } from "../core/errors.ts";
import type { ForwardPayload } from "../core/forward.ts";
import type { InferenceRequest } from "../core/request.ts";
import { plainTraits } from "../core/request-traits.ts";
import { CycleMeter } from "../telemetry/cycle-meter.ts";
import { DecisionLog } from "../telemetry/decision-log.ts";
import { joinTracers } from "../telemetry/join-tracers.ts";
import { pickerMetrics } from "../telemetry/picker-metrics.ts";
import { exposePools } from "../telemetry/pool-gauges.ts";
import { RequestMeters, type RequestMeter } from "../telemetry/request-meters.ts";
import type { GatewayConfig, GatewayContext } from "./options.ts";

/** Watches the pools of one gateway. Other pools cost a look-up of their name. */
export interface PickerWatch {
  /** Hears of the pool's cycles; undefined: nobody wants to. */
  tracerOf(pool: Pick<HttpPool, "name">): CycleTracer | undefined;
  /** The same layer, whose requests are heard of. */
  observed(pool: string, wired: WiredScheduling): WiredScheduling;
  /** The same stage, with what it refuses counted. */
  counting(scheduling: Scheduling): Scheduling;
  /** A request has ended. */
  ended(record: ForwardRecord): void;
  readonly explanations: Explanations;
  /** The pools that are watched. */
  pools(): readonly PickerPool[];
}

/** What is watched. */
export interface PickerWatchParts {
  readonly config: Pick<GatewayConfig, "pools">;
  readonly context: Pick<GatewayContext, "clock" | "metrics" | "version">;
  /** The pools there are now. */
  readonly pools: ForwardCatalog["pools"];
}

/** Undefined where no pool has scheduling of its own: then there is nothing to watch, and no series. */
export function createPickerWatch({
  config,
  context,
  pools: all,
}: PickerWatchParts): PickerWatch | undefined {
  const specs = new Map<string, SchedulingSpec>();
  for (const pool of config.pools)
    if (isHttpPool(pool) && pool.scheduling !== undefined) specs.set(pool.name, pool.scheduling);
  if (specs.size === 0) return undefined;
  const { clock, metrics, version } = context;
  const meters = new RequestMeters(metrics);
  const log = new DecisionLog({ clock });
  const pools = (): readonly PickerPool[] =>
    all().flatMap((pool) => {
      const scheduling = specs.get(pool.name);
      return scheduling === undefined ? [] : [{ pool, scheduling }];
    });
  exposePools(metrics, () => pools().map(({ pool }) => pool));
  metrics.gauge(pickerMetrics.info).with("", version).value = 1;
  const processing = metrics.histogram(pickerMetrics.processing).with();
  const meterOf = (route: ForwardRoute, request: InferenceRequest<ForwardPayload>): RequestMeter => {
    const { fairnessId } = request.traits ?? plainTraits;
    return meters.of({ model: request.model, target: route.model, fairnessId, priority: request.priority });
  };
  const refused = (
    route: ForwardRoute,
    request: InferenceRequest<ForwardPayload>,
    { code }: { readonly code: ErrorCode },
  ): void => {
    if (specs.has(route.pool.name)) meterOf(route, request).refused(code);
  };
  return {
    tracerOf({ name }) {
      const scheduling = specs.get(name);
      if (scheduling === undefined) return undefined;
      return joinTracers([new CycleMeter({ metrics, clock, scheduling }), log.tracer(name)]);
    },
    observed(pool, wired) {
      if (!specs.has(pool)) return wired;
      return { ...wired, observers: [...wired.observers, { name: "metrics", plugin: countRunning(meters) }] };
    },
    counting: (scheduling) => countRefusals(scheduling, refused),
    ended(record) {
      const { request, route, queueMs } = record;
      if (!specs.has(route.pool.name)) return;
      processing.observe(queueMs / 1_000);
      meterOf(route, request).ended(record);
    },
    explanations: log,
    pools,
  };
}

function countRunning(meters: RequestMeters): RequestObserver {
  const meterOf = ({ model, askedModel = model, traits, priority }: ScheduledRequest): RequestMeter =>
    meters.of({ model: askedModel, target: model, fairnessId: traits.fairnessId, priority });
  return {
    dispatched: (request) => meterOf(request).placed(),
    ended: (request) => meterOf(request).left(),
  };
}

function countRefusals(
  scheduling: Scheduling,
  refused: (
    route: ForwardRoute,
    request: InferenceRequest<ForwardPayload>,
    reason: { readonly code: ErrorCode },
  ) => void,
): Scheduling {
  return {
    another: (route, tried, decision) => scheduling.another(route, tried, decision),
    decide(route, request) {
      const decision = scheduling.decide(route, request);
      if (decision !== undefined && isFailure(decision)) refused(route, request, decision);
      return decision;
    },
    wait(route, request, done) {
      scheduling.wait(route, request, (result) => {
        if (isFailure(result)) refused(route, request, result);
        done(result);
      });
    },
  };
}
