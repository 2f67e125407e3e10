/** What is counted by key. */
import type { MetricDefinition, MetricFamily, MetricValue, Metrics } from "../../contracts/telemetry.ts";

/** Why a request was refused at the door or when it was to begin. */
export type KeyRefusal =
  | "credentials"
  | "expired"
  | "scope"
  | "model"
  | "requests"
  | "tokens"
  | "concurrency";

/** The families, for the reference page too. */
export const keyMetrics = {
  requests: {
    name: "spillway_key_requests_total",
    help: "Requests with a valid key, those that were refused for its limits included.",
    labels: ["key"],
  },
  refused: {
    name: "spillway_key_requests_refused_total",
    help: "Requests refused for their key: missing or wrong (key `unknown`), expired, without the scope or the model, or over a limit.",
    labels: ["key", "reason"],
  },
  inFlight: {
    name: "spillway_key_requests_in_flight",
    help: "Inference requests of a key that are under way or in line.",
    labels: ["key"],
  },
  tokens: {
    name: "spillway_key_tokens_total",
    help: "Tokens that requests of a key have used.",
    labels: ["key", "kind"],
  },
} as const satisfies Record<string, MetricDefinition>;

/** The families of a registry. Their label sets are bounded. */
export interface KeyMeters {
  readonly requests: MetricFamily<MetricValue>;
  readonly refused: MetricFamily<MetricValue>;
  readonly inFlight: MetricFamily<MetricValue>;
  readonly tokens: MetricFamily<MetricValue>;
}

/** Makes the families. */
export function createKeyMeters(metrics: Metrics): KeyMeters {
  return {
    requests: metrics.counter(keyMetrics.requests),
    refused: metrics.counter(keyMetrics.refused),
    inFlight: metrics.gauge(keyMetrics.inFlight),
    tokens: metrics.counter(keyMetrics.tokens),
  };
}
