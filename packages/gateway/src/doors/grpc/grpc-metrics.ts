/** What the gRPC door counts. */
import type { MetricDefinition, MetricHistogram, MetricValue, Metrics } from "../../contracts/telemetry.ts";

/** The families of this module, for the reference page. */
export const grpcMetrics = {
  requests: {
    name: "spillway_grpc_requests_total",
    help: "Calls, and messages of streams, by method and gRPC status code.",
    labels: ["method", "status"],
  },
  duration: {
    name: "spillway_grpc_request_duration_seconds",
    help: "Time from a call's message to its answer.",
    labels: ["method"],
    buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
  },
} as const satisfies Record<string, MetricDefinition & { readonly buckets?: readonly number[] }>;

/** Counters of one method, found once. */
export class MethodMeter {
  readonly #method: string;
  readonly #metrics: Metrics;
  readonly #statuses = new Map<number, MetricValue>();
  readonly #duration: MetricHistogram;

  constructor(method: string, metrics: Metrics) {
    this.#method = method;
    this.#metrics = metrics;
    this.#duration = metrics.histogram(grpcMetrics.duration).with(method);
  }

  ended(status: number, durationMs: number): void {
    let child = this.#statuses.get(status);
    if (child === undefined) {
      child = this.#metrics.counter(grpcMetrics.requests).with(this.#method, String(status));
      this.#statuses.set(status, child);
    }
    child.value++;
    this.#duration.observe(durationMs / 1_000);
  }
}
