/** What the gRPC door counts. */
import type {
  MetricDefinition,
  MetricFamily,
  MetricHistogram,
  MetricValue,
  Metrics,
} from "../../contracts/telemetry.ts";

/** The families, for the reference page too. */
export const grpcMetrics = {
  requests: {
    name: "spillway_grpc_requests_total",
    help: "gRPC calls, and messages of streams, by method and gRPC status code; 1 is a client that left before its answer.",
    labels: ["method", "status"],
  },
  duration: {
    name: "spillway_grpc_request_duration_seconds",
    help: "Time from a call's head, or a stream's message, to its answer.",
    labels: ["method"],
    buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
  },
  inFlight: {
    name: "spillway_grpc_requests_in_flight",
    help: "gRPC calls, and messages of streams, that have not been answered yet.",
    labels: [],
  },
} as const satisfies Record<string, MetricDefinition & { readonly buckets?: readonly number[] }>;

/** The families of a registry. */
export interface GrpcMeters {
  readonly requests: MetricFamily<MetricValue>;
  readonly duration: MetricFamily<MetricHistogram>;
  readonly inFlight: MetricValue;
}

/** Makes the families; a second door gets the same ones. */
export function createGrpcMeters(metrics: Metrics): GrpcMeters {
  return {
    requests: metrics.counter(grpcMetrics.requests),
    duration: metrics.histogram(grpcMetrics.duration),
    inFlight: metrics.gauge(grpcMetrics.inFlight).with(),
  };
}

/** The children of one method, resolved once each. */
export class MethodMeter {
  readonly #meters: GrpcMeters;
  readonly #method: string;
  readonly #duration: MetricHistogram;
  readonly #byStatus = new Map<number, MetricValue>();

  constructor(meters: GrpcMeters, method: string) {
    this.#meters = meters;
    this.#method = method;
    this.#duration = meters.duration.with(method);
  }

  /** A message is being worked on. */
  started(): void {
    this.#meters.inFlight.value++;
  }

  /** It has been answered. */
  ended(status: number, durationMs: number): void {
    this.#meters.inFlight.value--;
    this.refused(status);
    this.#duration.observe(durationMs / 1_000);
  }

  /** A call was answered before its message was read. */
  refused(status: number): void {
    let child = this.#byStatus.get(status);
    if (child === undefined) {
      child = this.#meters.requests.with(this.#method, String(status));
      this.#byStatus.set(status, child);
    }
    child.value++;
  }
}
