/** `/admin/picker`: what the picker knows now, for operators: endpoints, queues, scarcity, profiles. */
import type { HttpEndpoint, HttpPool } from "../contracts/http-endpoint.ts";
import type { Inspect, Snapshot } from "../contracts/inspect.ts";
import { writePlainFailure } from "../contracts/plain-failure.ts";
import type { ProfileSpec, SchedulingSpec } from "../contracts/plugins/scheduling.ts";
import { wireAnswer, type Route } from "../contracts/route.ts";
import type { ScarcityReading } from "../contracts/scarcity.ts";
import type { Clock } from "../core/clock.ts";

/** Most endpoints, models and labels that are listed of a pool; counts are of all. */
export const mostListed = { endpoints: 1_000, models: 200 } as const;

/** A pool that the picker looks after. */
export interface PickerPool {
  readonly pool: PickedPool;
  readonly scheduling: SchedulingSpec;
}

type PickedPool = Pick<HttpPool, "name" | "scarcity"> & {
  readonly endpoints: readonly Pick<
    HttpEndpoint,
    "id" | "address" | "state" | "labels" | "signals" | "load" | "inFlight" | "capacity" | "speed"
  >[];
  /** Tells its bands and flows where it has such. */
  readonly line: { readonly length: number } & Partial<Inspect>;
  readonly gate?: object | undefined;
};

/** What the route needs. */
export interface PickerRouteOptions {
  /** The pools that have scheduling of their own. */
  readonly pools: () => readonly PickerPool[];
  readonly clock: Pick<Clock, "now">;
}

/** Answers with a bounded picture of every pool, taken within one turn of the event loop. */
export function createPickerRoute({ pools, clock }: PickerRouteOptions): Route {
  return {
    method: "GET",
    path: "/admin/picker",
    scope: "admin",
    body: "none",
    writeFailure: writePlainFailure,
    handle() {
      const now = clock.now();
      const body = Buffer.from(`${JSON.stringify({ pools: pools().map((pool) => told(pool, now)) })}\n`);
      return wireAnswer(200, "application/json", [body], [["cache-control", "no-store"]]);
    },
  };
}

function told({ pool, scheduling }: PickerPool, now: number): Snapshot {
  const { name, endpoints, line, scarcity, gate } = pool;
  return {
    name,
    endpoint_count: endpoints.length,
    ready: endpoints.filter(({ state }) => state === "ready").length,
    endpoints: endpoints.slice(0, mostListed.endpoints).map((endpoint) => toldEndpoint(endpoint, now)),
    waiting: line.length,
    queues: line.inspect?.() ?? null,
    flow_control: gate !== undefined && isInspectable(gate) ? gate.inspect() : null,
    scarcity: (scarcity?.readings() ?? [])
      .slice(0, mostListed.models)
      .map((reading) => toldReading(reading, now)),
    scheduling: {
      handler: scheduling.handler,
      profiles: scheduling.profiles.map(toldProfile),
      shadows: scheduling.shadows.map(toldProfile),
    },
  };
}

function isInspectable(value: object): value is Inspect {
  return "inspect" in value && typeof value.inspect === "function";
}

function toldEndpoint(endpoint: PickedPool["endpoints"][number], now: number): Snapshot {
  const { signals, load } = endpoint;
  return {
    endpoint: endpoint.address,
    state: endpoint.state,
    labels: { ...endpoint.labels },
    in_flight: endpoint.inFlight,
    capacity: endpoint.capacity,
    tokens_per_second: toldNumber(endpoint.speed),
    load: {
      requests: load.requests,
      prompt_tokens: load.promptTokens,
      output_tokens: load.outputTokens,
      sent_since_scrape: load.sentSinceScrape,
    },
    signals: {
      age_ms: toldNumber(now - signals.updatedAt),
      waiting: toldNumber(signals.waiting),
      running: toldNumber(signals.running),
      kv_usage: toldNumber(signals.kvUsage),
      block_tokens: toldNumber(signals.blockTokens),
      blocks: toldNumber(signals.blocks),
      max_adapters: toldNumber(signals.maxAdapters),
      running_adapters: signals.runningAdapters,
      waiting_adapters: signals.waitingAdapters,
      custom: Object.fromEntries([...signals.custom].map(([key, value]) => [key, toldNumber(value)])),
    },
  };
}

function toldReading(reading: ScarcityReading, now: number): Snapshot {
  return {
    model: reading.model,
    regime: reading.regime,
    for_seconds: toldNumber((now - reading.since) / 1_000),
    saturation: toldNumber(reading.saturation),
    waiting: reading.waiting,
    growth: toldNumber(reading.growth),
    wait_ms: toldNumber(reading.waitMs),
    replicas: reading.replicas,
    replicas_wanted: reading.replicasWanted,
    seconds_to_saturation: toldNumber(reading.secondsToSaturation),
  };
}

function toldProfile({ name, filters, scorers, picker }: ProfileSpec): Snapshot {
  return {
    name,
    filters,
    scorers: scorers.map(({ plugin, weight }) => ({ plugin, weight })),
    picker,
  };
}

/** `null` for what is not known, or without end. */
function toldNumber(value: number): number | null {
  return Number.isFinite(value) ? Math.round(value * 1_000) / 1_000 : null;
}
