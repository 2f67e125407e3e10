/** Series about the servers of pools. */
import {
  httpEndpointStates,
  type AttemptResult,
  type HttpEndpoint,
  type HttpEndpointState,
  type HttpPool,
} from "../contracts/http-endpoint.ts";
import type { MetricDefinition, Metrics, MetricValue } from "../contracts/telemetry.ts";
import type { Survey } from "./survey.ts";

/** The families of this module, for the reference page. */
export const endpointMetrics = {
  state: {
    name: "spillway_endpoint_state",
    help: "1 for the state that the server is in, 0 for the others.",
    labels: ["pool", "endpoint", "state"],
  },
  inFlight: {
    name: "spillway_endpoint_in_flight_requests",
    help: "Attempts that run at the server now.",
    labels: ["pool", "endpoint"],
  },
  attempts: {
    name: "spillway_endpoint_attempts_total",
    help: "Attempts at the server by how they ended: ok, refused (a status of 400 or more), connect, closed, malformed, timeout, cancelled.",
    labels: ["pool", "endpoint", "result"],
  },
  ejections: {
    name: "spillway_endpoint_ejections_total",
    help: "Times that the server was left alone: unreachable, failing, misconfigured.",
    labels: ["pool", "endpoint", "cause"],
  },
  probes: {
    name: "spillway_endpoint_probes_total",
    help: "Times that the server was asked what it serves, by result.",
    labels: ["pool", "endpoint", "result"],
  },
  capacity: {
    name: "spillway_endpoint_capacity_requests",
    help: "Attempts that may run at the server at once.",
    labels: ["pool", "endpoint"],
  },
  models: {
    name: "spillway_endpoint_models",
    help: "Models of the server: listed, and loaded into its memory where it tells.",
    labels: ["pool", "endpoint", "state"],
  },
  waiting: {
    name: "spillway_pool_queue_requests",
    help: "Requests in line for a server of the pool.",
    labels: ["pool"],
  },
  ready: {
    name: "spillway_pool_ready_endpoints",
    help: "Servers of the pool that are ready.",
    labels: ["pool"],
  },
} as const satisfies Record<string, MetricDefinition>;

/** A server as far as metrics name it. */
type Counted = Pick<HttpEndpoint, "pool" | "state" | "inFlight" | "capacity"> & {
  readonly address: string;
  readonly survey: Pick<Survey, "models" | "running"> | undefined;
};

/** A pool as far as metrics name it. */
type CountedPool = Pick<HttpPool, "name" | "endpoints"> & { readonly line: { readonly length: number } };

const attemptResults = ["ok", "refused", "connect", "closed", "malformed", "timeout", "cancelled"] as const;
const ejectionCauses = ["unreachable", "failing", "misconfigured"] as const;
const probeResults = ["ok", "refused", "loading", "connect", "closed", "malformed", "timeout"] as const;

/** Counts what happens to servers. The series of one that is gone go with it. */
export interface EndpointMetrics {
  opened(pool: CountedPool): void;
  closed(pool: CountedPool): void;
  added(server: Counted): void;
  removed(server: Counted): void;
  stateChanged(server: Counted, previous: HttpEndpointState): void;
  ejected(server: Counted, cause: (typeof ejectionCauses)[number]): void;
  probed(server: Counted, result: (typeof probeResults)[number]): void;
  ended(server: Counted, result: AttemptResult): void;
}

/** Makes the counters. The families bound the number of their children. */
export function createEndpointMetrics(metrics: Metrics): EndpointMetrics {
  const state = metrics.gauge(endpointMetrics.state);
  const attempts = metrics.counter(endpointMetrics.attempts);
  const ejections = metrics.counter(endpointMetrics.ejections);
  const probes = metrics.counter(endpointMetrics.probes);
  /** Servers, and the counter of good ends of each that has had one: looked up once. */
  const servers = new Map<Counted, MetricValue | undefined>();
  const gauges = createServerGauges(metrics);
  metrics.onCollect(() => {
    for (const server of servers.keys()) gauges.read(server);
  });
  return {
    ...createPoolGauges(metrics),
    added(server) {
      servers.set(server, undefined);
      const { pool, address } = server;
      for (const each of httpEndpointStates)
        state.with(pool, address, each).value = each === server.state ? 1 : 0;
    },
    removed(server) {
      const { pool, address } = server;
      if (!servers.delete(server)) return;
      // A pool that takes the place of another has servers of the same names.
      const other = [...servers.keys()].find((each) => each.pool === pool && each.address === address);
      if (other !== undefined) {
        for (const each of httpEndpointStates)
          state.with(pool, address, each).value = each === other.state ? 1 : 0;
        return;
      }
      for (const each of httpEndpointStates) state.remove(pool, address, each);
      for (const each of attemptResults) attempts.remove(pool, address, each);
      for (const each of ejectionCauses) ejections.remove(pool, address, each);
      for (const each of probeResults) probes.remove(pool, address, each);
      gauges.remove(server);
    },
    stateChanged(server, previous) {
      state.with(server.pool, server.address, previous).value = 0;
      state.with(server.pool, server.address, server.state).value = 1;
    },
    ejected: ({ pool, address }, cause) => void ejections.with(pool, address, cause).value++,
    probed: ({ pool, address }, result) => void probes.with(pool, address, result).value++,
    ended(server, { kind }) {
      const good = kind === "ok" ? servers.get(server) : undefined;
      if (good !== undefined) good.value++;
      else if (servers.has(server)) {
        const counter = attempts.with(server.pool, server.address, kind);
        counter.value++;
        if (kind === "ok") servers.set(server, counter);
      }
    },
  };
}

/** What is read of a server when somebody scrapes. */
function createServerGauges(metrics: Metrics): Record<"read" | "remove", (server: Counted) => void> {
  const inFlight = metrics.gauge(endpointMetrics.inFlight);
  const capacity = metrics.gauge(endpointMetrics.capacity);
  const models = metrics.gauge(endpointMetrics.models);
  return {
    read(server) {
      const { pool, address, survey } = server;
      inFlight.with(pool, address).value = server.inFlight;
      capacity.with(pool, address).value = server.capacity;
      models.with(pool, address, "listed").value = survey?.models.size ?? 0;
      if (survey?.running === undefined) models.remove(pool, address, "loaded");
      else models.with(pool, address, "loaded").value = survey.running.size;
    },
    remove({ pool, address }) {
      inFlight.remove(pool, address);
      capacity.remove(pool, address);
      for (const state of ["listed", "loaded"]) models.remove(pool, address, state);
    },
  };
}

/** What is read of a pool when somebody scrapes. */
function createPoolGauges(metrics: Metrics): Pick<EndpointMetrics, "opened" | "closed"> {
  const waiting = metrics.gauge(endpointMetrics.waiting);
  const ready = metrics.gauge(endpointMetrics.ready);
  const pools = new Set<CountedPool>();
  metrics.onCollect(() => {
    for (const { name, line, endpoints } of pools) {
      waiting.with(name).value = line.length;
      ready.with(name).value = endpoints.filter(({ state }) => state === "ready").length;
    }
  });
  return {
    opened: (pool) => void pools.add(pool),
    closed(pool) {
      pools.delete(pool);
      waiting.remove(pool.name);
      ready.remove(pool.name);
    },
  };
}
