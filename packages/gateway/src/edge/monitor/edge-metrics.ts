/** What the edge endpoint does, for Prometheus. */
import type { CloudHealth } from "../../contracts/cloud.ts";
import type {
  AgreementObservation,
  DeliveryObservation,
  EdgeObserver,
  QueryObservation,
} from "../../contracts/edge-observer.ts";
import type { OutboxState, StoreCounters } from "../../contracts/edge-store.ts";
import type { MetricDefinition, MetricFamily, Metrics, MetricValue } from "../../contracts/telemetry.ts";
import type { MonitoredDetector, MonitoredParts } from "./monitored.ts";

const latencyBuckets = [
  0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2, 5, 10, 30,
];

/** The families of this module. */
export const edgeMetrics = {
  queries: {
    name: "spillway_edge_queries_total",
    help: "Image queries by who answered: edge, cloud, later (asked for asynchronously), none (the caller got an error).",
    labels: ["detector", "answered_by"],
  },
  escalations: {
    name: "spillway_edge_escalations_total",
    help: "Image queries sent or queued for the cloud, by reason; audit is a sample of sure answers.",
    labels: ["detector", "reason"],
  },
  withheld: {
    name: "spillway_edge_withheld_total",
    help: "Image queries that did not go to the cloud although they should have, or had to wait, by reason.",
    labels: ["detector", "reason"],
  },
  belowThreshold: {
    name: "spillway_edge_below_threshold_total",
    help: "Answers of local models below the threshold of their query.",
    labels: ["detector"],
  },
  failures: {
    name: "spillway_edge_failures_total",
    help: "Image queries answered with an error, or whose local model failed, by the error's code.",
    labels: ["detector", "code"],
  },
  duration: {
    name: "spillway_edge_query_duration_seconds",
    help: "Time from the receipt of an image query to its answer.",
    labels: ["detector"],
    buckets: latencyBuckets,
  },
  localDuration: {
    name: "spillway_edge_local_duration_seconds",
    help: "Time from asking a local model to its answer.",
    labels: ["detector"],
    buckets: latencyBuckets,
  },
  comparisons: {
    name: "spillway_edge_comparisons_total",
    help: "Answers of the cloud, or labels of people, beside one of the edge, by kind (audit, escalation, label) and result (agreed, differed).",
    labels: ["detector", "kind", "result"],
  },
  deliveries: {
    name: "spillway_edge_deliveries_total",
    help: "Attempts to send something from the outbox, by kind (query, label) and outcome (sent, postponed, rejected).",
    labels: ["kind", "outcome"],
  },
  outboxWaiting: {
    name: "spillway_edge_outbox_waiting",
    help: "Image queries and labels that wait for the cloud.",
    labels: [],
  },
  outboxBytes: {
    name: "spillway_edge_outbox_bytes",
    help: "Bytes of what waits for the cloud.",
    labels: [],
  },
  outboxCapacity: {
    name: "spillway_edge_outbox_capacity_bytes",
    help: "Bytes that may wait for the cloud.",
    labels: [],
  },
  outboxAge: {
    name: "spillway_edge_outbox_oldest_age_seconds",
    help: "How long the oldest of what waits for the cloud has waited; 0 when nothing does.",
    labels: [],
  },
  outboxRejected: {
    name: "spillway_edge_outbox_rejected",
    help: "The last image queries and labels that the cloud refused for good, as far as they are kept.",
    labels: [],
  },
  cloud: {
    name: "spillway_edge_cloud_state",
    help: "1 for how the cloud was lately: unknown, reachable, unreachable. Absent without a cloud.",
    labels: ["state"],
  },
  ready: {
    name: "spillway_edge_detector_ready",
    help: "1 when a local model can answer the detector, else 0.",
    labels: ["detector"],
  },
  model: {
    name: "spillway_edge_model_info",
    help: "Always 1; says which model and version answer a detector.",
    labels: ["detector", "model", "version"],
  },
  updater: {
    name: "spillway_edge_updater_state",
    help: "1 for the state of a detector's model updater.",
    labels: ["detector", "state"],
  },
  lost: {
    name: "spillway_edge_store_lost_records_total",
    help: "Records that were written behind and lost to a failure of the store.",
    labels: [],
  },
  reports: {
    name: "spillway_edge_metrics_reports_total",
    help: "Hourly reports of activity to the cloud, by outcome: sent, or the kind of failure.",
    labels: ["outcome"],
  },
} as const satisfies Record<string, MetricDefinition & { readonly buckets?: readonly number[] }>;

/** What is read when somebody scrapes. */
export interface EdgeReadings extends Pick<MonitoredParts, "detectors" | "cloud" | "outboxBytes"> {
  /** The last state known; undefined before the first. */
  readonly outbox: () => OutboxState | undefined;
  readonly store: () => StoreCounters;
  /** Wall time, ms. */
  readonly now: () => number;
}

/** Counts for Prometheus. The families bound the number of their children. */
export function createEdgeMetrics(metrics: Metrics, readings: EdgeReadings): EdgeObserver {
  const queries = metrics.counter(edgeMetrics.queries);
  const count = createQueryCounters(metrics);
  const comparisons = metrics.counter(edgeMetrics.comparisons);
  const deliveries = metrics.counter(edgeMetrics.deliveries);
  exposeOutbox(metrics, readings);
  exposeCloud(metrics, readings);
  exposeDetectors(metrics, readings);
  return {
    answered(observation: QueryObservation) {
      queries.with(observation.detectorId, observation.answeredBy).value += 1;
      count(observation);
    },
    compared({ detectorId, kind, agreed }: AgreementObservation) {
      comparisons.with(detectorId, kind, agreed ? "agreed" : "differed").value += 1;
    },
    delivered({ kind, outcome }: DeliveryObservation) {
      deliveries.with(kind, outcome).value += 1;
    },
  };
}

function createQueryCounters(metrics: Metrics): (observation: QueryObservation) => void {
  const escalations = metrics.counter(edgeMetrics.escalations);
  const withheldBy = metrics.counter(edgeMetrics.withheld);
  const below = metrics.counter(edgeMetrics.belowThreshold);
  const failures = metrics.counter(edgeMetrics.failures);
  const duration = metrics.histogram(edgeMetrics.duration);
  const localDuration = metrics.histogram(edgeMetrics.localDuration);
  return ({ detectorId, latencyMs, local, threshold, escalation, withheld, failure }) => {
    duration.with(detectorId).observe(latencyMs / 1_000);
    if (local !== undefined) {
      localDuration.with(detectorId).observe(local.latencyMs / 1_000);
      if (local.confidence < threshold) below.with(detectorId).value += 1;
    }
    if (escalation !== undefined) escalations.with(detectorId, escalation.reason).value += 1;
    if (withheld !== undefined) withheldBy.with(detectorId, withheld).value += 1;
    if (failure !== undefined) failures.with(detectorId, failure).value += 1;
  };
}

function exposeOutbox(metrics: Metrics, { outbox, outboxBytes, now, store }: EdgeReadings): void {
  const waiting = metrics.gauge(edgeMetrics.outboxWaiting);
  const bytes = metrics.gauge(edgeMetrics.outboxBytes);
  const age = metrics.gauge(edgeMetrics.outboxAge);
  const rejected = metrics.gauge(edgeMetrics.outboxRejected);
  const lost = metrics.counter(edgeMetrics.lost);
  metrics.gauge(edgeMetrics.outboxCapacity).with().value = outboxBytes;
  metrics.onCollect(() => {
    lost.with().value = store().lostRecords;
    const state = outbox();
    if (state === undefined) return;
    waiting.with().value = state.waiting;
    bytes.with().value = state.bytes;
    rejected.with().value = state.rejected;
    age.with().value = state.oldestAt === undefined ? 0 : Math.max(0, now() - state.oldestAt) / 1_000;
  });
}

const cloudStates: readonly CloudHealth["state"][] = ["unknown", "reachable", "unreachable"];

function exposeCloud(metrics: Metrics, { cloud }: EdgeReadings): void {
  const states = metrics.gauge(edgeMetrics.cloud);
  metrics.onCollect(() => {
    const known = cloud();
    if (known === undefined) return;
    for (const state of cloudStates) states.with(state).value = state === known.health.state ? 1 : 0;
  });
}

/** Children of detectors, models and states that are no longer so are taken away. */
function exposeDetectors(metrics: Metrics, { detectors }: EdgeReadings): void {
  const families = [edgeMetrics.ready, edgeMetrics.model, edgeMetrics.updater].map((definition) => {
    const family = metrics.gauge(definition);
    return new Replaced(family);
  });
  const [ready, model, updater] = families;
  metrics.onCollect(() => {
    for (const each of detectors()) tell(each);
    for (const family of families) family.turn();
  });
  function tell({ id, ready: isReady, model: served, updater: update }: MonitoredDetector): void {
    ready?.set([id], isReady ? 1 : 0);
    if (served !== undefined) model?.set([id, served.name, served.version ?? ""], 1);
    if (update !== undefined) updater?.set([id, update.state], 1);
  }
}

/** A family whose children are only those set since the last turn. */
class Replaced {
  readonly #family: MetricFamily<MetricValue>;
  #before = new Map<string, readonly string[]>();
  #now = new Map<string, readonly string[]>();

  constructor(family: MetricFamily<MetricValue>) {
    this.#family = family;
  }

  set(labels: readonly string[], value: number): void {
    this.#family.with(...labels).value = value;
    this.#now.set(labels.join("\n"), labels);
  }

  turn(): void {
    for (const [key, labels] of this.#before) if (!this.#now.has(key)) this.#family.remove(...labels);
    this.#before = this.#now;
    this.#now = new Map();
  }
}
