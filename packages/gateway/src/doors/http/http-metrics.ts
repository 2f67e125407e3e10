/** What the HTTP door counts. */
import type { MetricFamily, MetricHistogram, MetricValue, Metrics } from "../../contracts/telemetry.ts";

const durationBuckets = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
];

/** The families, made once for all doors of the process. */
export interface HttpMetrics {
  readonly requests: MetricFamily<MetricValue>;
  readonly duration: MetricFamily<MetricHistogram>;
  readonly inFlight: MetricValue;
  readonly bodyBytes: MetricValue;
  readonly refusedConnections: MetricValue;
}

/** Makes the families; a second door gets the same ones. */
export function createHttpMetrics(metrics: Metrics): HttpMetrics {
  return {
    requests: metrics.counter({
      name: "spillway_http_requests_total",
      help: "HTTP requests answered; status 499 is a client that left before its answer.",
      labels: ["route", "method", "status"],
    }),
    duration: metrics.histogram({
      name: "spillway_http_request_duration_seconds",
      help: "Time from the end of a request's headers to the end of its answer.",
      labels: ["route"],
      buckets: durationBuckets,
    }),
    inFlight: metrics
      .gauge({
        name: "spillway_http_requests_in_flight",
        help: "HTTP requests not yet answered.",
        labels: [],
      })
      .with(),
    bodyBytes: metrics
      .gauge({
        name: "spillway_http_body_bytes",
        help: "Bytes of request bodies and of large answers held in memory.",
        labels: [],
      })
      .with(),
    refusedConnections: metrics
      .counter({
        name: "spillway_http_connections_refused_total",
        help: "Connections closed at once because too many were open.",
        labels: [],
      })
      .with(),
  };
}

/** The children of one route and method, resolved once each. */
export class RouteMetrics {
  readonly #requests: MetricFamily<MetricValue>;
  readonly #route: string;
  readonly #method: string;
  readonly #duration: MetricHistogram;
  readonly #byStatus = new Map<number, MetricValue>();

  constructor(metrics: HttpMetrics, route: string, method: string) {
    this.#requests = metrics.requests;
    this.#route = route;
    this.#method = method;
    this.#duration = metrics.duration.with(route);
  }

  /** Counts an answer. */
  count(status: number, durationMs: number): void {
    const known = this.#byStatus.get(status);
    if (known === undefined) this.#resolve(status).value++;
    else known.value++;
    this.#duration.observe(durationMs / 1000);
  }

  #resolve(status: number): MetricValue {
    const child = this.#requests.with(this.#route, this.#method, String(status));
    this.#byStatus.set(status, child);
    return child;
  }
}
