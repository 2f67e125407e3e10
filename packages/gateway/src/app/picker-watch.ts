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
import { shadowSpecs } from "../plugins/shadow-specs.ts";
import { ShadowPool } from "../stages/scheduling/shadow-pool.ts";
import type { Shadows } from "../contracts/shadows.ts";
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
  /** The same layer, whose requests are heard of. Starts the pool's shadows. Once for each pool. */
  observed(pool: string, wired: WiredScheduling): WiredScheduling;
  /** The same stage, with what it refuses counted. */
  counting(scheduling: Scheduling): Scheduling;
  /** A request has ended. */
  ended(record: ForwardRecord): void;
  readonly explanations: Explanations;
  /** The pools that are watched. */
  pools(): readonly PickerPool[];
  readonly shadows: Shadows;
  /** Ends the shadows. Idempotent. */
  close(): void;
}

/** What is watched. */
export interface PickerWatchParts {
  readonly config: Pick<GatewayConfig, "pools" | "pluginFiles">;
  readonly context: Pick<GatewayContext, "clock" | "logger" | "metrics" | "version">;
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
  const shadows = new Map<string, ShadowPool>();
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
      const shadow = shadows.get(name);
      const tracers = [new CycleMeter({ metrics, clock, scheduling }), log.tracer(name)];
      return joinTracers(shadow === undefined ? tracers : [...tracers, shadow.tracer]);
    },
    observed(pool, wired) {
      const spec = specs.get(pool);
      if (spec === undefined) return wired;
      const counted = {
        ...wired,
        observers: [...wired.observers, { name: "metrics", plugin: countRunning(meters) }],
      };
      if (spec.shadows.length === 0) return counted;
      const shadow = startShadows({ pool, spec, wired: counted, context, pluginFiles: config.pluginFiles });
      shadows.set(pool, shadow);
      return shadow.wired;
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
    shadows: { reports: () => [...shadows.values()].flatMap((shadow) => shadow.reports()) },
    close() {
      for (const shadow of shadows.values()) shadow.close();
    },
  };
}

const shadowProgram = new URL(
  import.meta.url.endsWith(".ts") ? "./shadow-program.ts" : "./shadow-program.js",
  import.meta.url,
);

/** A pool's shadows, each a layer of its own in the pool's thread. */
function startShadows(parts: {
  readonly pool: string;
  readonly spec: SchedulingSpec;
  readonly wired: WiredScheduling;
  readonly context: PickerWatchParts["context"];
  readonly pluginFiles: readonly string[] | undefined;
}): ShadowPool {
  const { pool, spec, wired, context, pluginFiles = [] } = parts;
  const { clock, logger, metrics } = context;
  const program = shadowProgram;
  return new ShadowPool({
    pool,
    shadows: shadowSpecs(spec),
    wired,
    program,
    pluginFiles,
    clock,
    logger,
    metrics,
  });
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
