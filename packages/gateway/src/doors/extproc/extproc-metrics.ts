/** What the ext_proc door counts. */
import type {
  MetricDefinition,
  MetricFamily,
  MetricHistogram,
  MetricValue,
  Metrics,
} from "../../contracts/telemetry.ts";

/**
 * How a stream ended.
 * - `natural`: the answer passed whole, or the request was answered by the picker itself.
 * - `client-disconnect`: Envoy let go of it before.
 * - `evicted`: it was called off to make room.
 * - `error`: something was sent that cannot be read, or a failure of the picker's own.
 */
export type StreamEnd = "natural" | "client-disconnect" | "evicted" | "error";

/** The families, for the reference page too. */
export const extProcMetrics = {
  streams: {
    name: "spillway_extproc_streams_total",
    help: "ext_proc streams that have ended, by cause: natural, client-disconnect, evicted, error.",
    labels: ["cause"],
  },
  inFlight: {
    name: "spillway_extproc_streams_in_flight",
    help: "ext_proc streams that are open.",
    labels: [],
  },
  immediate: {
    name: "spillway_extproc_immediate_responses_total",
    help: "Requests that the picker answered itself, by HTTP status.",
    labels: ["status"],
  },
  pick: {
    name: "spillway_extproc_request_seconds",
    help: "Time from the head of a request to where it goes, its body and its wait in line included.",
    labels: [],
    buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
  },
  early: {
    name: "spillway_extproc_early_picks_total",
    help: "Requests that were decided on by their head alone, while their body passed by unread.",
    labels: [],
  },
  heldBytes: {
    name: "spillway_extproc_held_bytes",
    help: "Bytes of request bodies that are held.",
    labels: [],
  },
} as const satisfies Record<string, MetricDefinition & { readonly buckets?: readonly number[] }>;

/** The families of a registry. */
export interface ExtProcMeters {
  /** `streams` by cause. */
  readonly ended: Readonly<Record<StreamEnd, MetricValue>>;
  readonly inFlight: MetricValue;
  readonly immediate: MetricFamily<MetricValue>;
  readonly pick: MetricHistogram;
  readonly early: MetricValue;
  readonly heldBytes: MetricValue;
}

/** Makes the families. */
export function createExtProcMeters(metrics: Metrics): ExtProcMeters {
  const streams = metrics.counter(extProcMetrics.streams);
  return {
    ended: {
      natural: streams.with("natural"),
      "client-disconnect": streams.with("client-disconnect"),
      evicted: streams.with("evicted"),
      error: streams.with("error"),
    },
    inFlight: metrics.gauge(extProcMetrics.inFlight).with(),
    immediate: metrics.counter(extProcMetrics.immediate),
    pick: metrics.histogram(extProcMetrics.pick).with(),
    early: metrics.counter(extProcMetrics.early).with(),
    heldBytes: metrics.gauge(extProcMetrics.heldBytes).with(),
  };
}
