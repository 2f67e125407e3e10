/** What the HTTP door counts. */
import type {
  MetricDefinition,
  MetricFamily,
  MetricHistogram,
  MetricValue,
  Metrics,
} from "../../contracts/telemetry.ts";

/** The families, for the reference page too. */
export const httpMetrics = {
  requests: {
    name: "spillway_http_requests_total",
    help: "HTTP requests answered, by the route's pattern; status 499 is a client that left before its answer.",
    labels: ["route", "method", "status"],
  },
  duration: {
    name: "spillway_http_request_duration_seconds",
    help: "Time from the end of a request's headers to the end of its answer.",
    labels: ["route"],
    buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
  },
  inFlight: {
    name: "spillway_http_requests_in_flight",
    help: "HTTP requests that have not been answered yet.",
    labels: [],
  },
  bodyBytes: {
    name: "spillway_http_body_bytes",
    help: "Bytes of request bodies, and of large answers not yet taken, held in memory.",
    labels: [],
  },
  refused: {
    name: "spillway_http_connections_refused_total",
    help: "Connections closed at once because too many were open.",
    labels: [],
  },
} as const satisfies Record<string, MetricDefinition & { readonly buckets?: readonly number[] }>;

/** The families of a registry. */
export interface HttpMeters {
  readonly requests: MetricFamily<MetricValue>;
  readonly duration: MetricFamily<MetricHistogram>;
  readonly inFlight: MetricValue;
  readonly bodyBytes: MetricValue;
  readonly refused: MetricValue;
}

/** Makes the families; a second door gets the same ones, so that their figures add up. */
export function createHttpMeters(metrics: Metrics): HttpMeters {
  return {
    requests: metrics.counter(httpMetrics.requests),
    duration: metrics.histogram(httpMetrics.duration),
    inFlight: metrics.gauge(httpMetrics.inFlight).with(),
    bodyBytes: metrics.gauge(httpMetrics.bodyBytes).with(),
    refused: metrics.counter(httpMetrics.refused).with(),
  };
}

/** The children of one route and method, resolved once each. */
export class RouteMeter {
  readonly #requests: MetricFamily<MetricValue>;
  readonly #route: string;
  readonly #method: string;
  readonly #duration: MetricHistogram;
  readonly #byStatus = new Map<number, MetricValue>();

  constructor(meters: HttpMeters, route: string, method: string) {
    this.#requests = meters.requests;
    this.#route = route;
    this.#method = method;
    this.#duration = meters.duration.with(route);
  }

  /** Counts an answer. */
  count(status: number, durationMs: number): void {
    const known = this.#byStatus.get(status);
    if (known === undefined) this.#resolve(status).value++;
    else known.value++;
    this.#duration.observe(durationMs / 1_000);
  }

  #resolve(status: number): MetricValue {
    const child = this.#requests.with(this.#route, this.#method, String(status));
    this.#byStatus.set(status, child);
    return child;
  }
}
