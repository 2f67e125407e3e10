/** Series about the servers of pools. */
import {
  httpEndpointStates,
  type AttemptResult,
  type HttpEndpoint,
  type HttpEndpointState,
} from "../contracts/http-endpoint.ts";
import type { MetricDefinition, Metrics } from "../contracts/telemetry.ts";

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
  waiting: {
    name: "spillway_pool_queue_requests",
    help: "Requests in line for a server of the pool.",
    labels: ["pool"],
  },
} as const satisfies Record<string, MetricDefinition>;

/** A server as far as metrics name it. */
type Counted = Pick<HttpEndpoint, "pool" | "state" | "inFlight"> & { readonly address: string };

const attemptResults = ["ok", "refused", "connect", "closed", "malformed", "timeout", "cancelled"] as const;
const ejectionCauses = ["unreachable", "failing", "misconfigured"] as const;
const probeResults = ["ok", "refused", "loading", "connect", "closed", "malformed", "timeout"] as const;

/** Counts what happens to servers. The series of one that is gone go with it. */
export interface EndpointMetrics {
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
  const inFlight = metrics.gauge(endpointMetrics.inFlight);
  const attempts = metrics.counter(endpointMetrics.attempts);
  const ejections = metrics.counter(endpointMetrics.ejections);
  const probes = metrics.counter(endpointMetrics.probes);
  const servers = new Set<Counted>();
  metrics.onCollect(() => {
    for (const server of servers) inFlight.with(server.pool, server.address).value = server.inFlight;
  });
  return {
    added(server) {
      servers.add(server);
      const { pool, address } = server;
      for (const each of httpEndpointStates)
        state.with(pool, address, each).value = each === server.state ? 1 : 0;
    },
    removed(server) {
      const { pool, address } = server;
      if (
        !servers.delete(server) ||
        [...servers].some((each) => each.pool === pool && each.address === address)
      )
        return;
      for (const each of httpEndpointStates) state.remove(pool, address, each);
      for (const each of attemptResults) attempts.remove(pool, address, each);
      for (const each of ejectionCauses) ejections.remove(pool, address, each);
      for (const each of probeResults) probes.remove(pool, address, each);
      inFlight.remove(pool, address);
    },
    stateChanged(server, previous) {
      state.with(server.pool, server.address, previous).value = 0;
      state.with(server.pool, server.address, server.state).value = 1;
    },
    ejected: ({ pool, address }, cause) => void ejections.with(pool, address, cause).value++,
    probed: ({ pool, address }, result) => void probes.with(pool, address, result).value++,
    ended: ({ pool, address }, { kind }) => void attempts.with(pool, address, kind).value++,
  };
}
