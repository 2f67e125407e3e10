/** Series about flow control. Each has the names under which Endpoint Pickers' dashboards know it. */
import type {
  MetricAlias,
  MetricDefinition,
  MetricHistogram,
  Metrics,
  MetricValue,
} from "../../contracts/telemetry.ts";
import { plainTraits } from "../../core/request-traits.ts";
import type { LineDeparture, LineObserver, LineOutcome } from "./line-rules.ts";

const shortBuckets = [
  0.00001, 0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1,
] as const;

const waitBuckets = [
  0.0001, 0.0005, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
] as const;

const flowLabels = ["fairness_id", "priority", "inference_pool", "model_name", "target_model_name"] as const;

/** Label sets of families that tell flows apart. */
const maxLabelSets = 4_096;

function aliases(name: string): readonly MetricAlias[] {
  return [{ name: `llm_d_epp_flow_control_${name}` }, { name: `inference_extension_flow_control_${name}` }];
}

/** The families of this module, for the reference page. */
export const flowMetrics = {
  requests: {
    name: "spillway_flow_control_requests_total",
    help: "Requests that flow control has let go, by how: Dispatched, RejectedCapacity, RejectedNoEndpoints, RejectedOther, EvictedTTL, EvictedNoEndpoints, EvictedContextCancelled, EvictedOther.",
    labels: ["outcome", "priority", "inference_pool"],
    aliases: aliases("requests_total"),
  },
  queueDuration: {
    name: "spillway_flow_control_request_queue_duration_seconds",
    help: "Time in line, by how it ended.",
    labels: ["fairness_id", "priority", "outcome", "inference_pool", "model_name", "target_model_name"],
    buckets: waitBuckets,
    maxLabelSets,
    aliases: aliases("request_queue_duration_seconds"),
  },
  enqueueDuration: {
    name: "spillway_flow_control_request_enqueue_duration_seconds",
    help: "Time that getting in line took.",
    labels: ["fairness_id", "priority", "outcome"],
    buckets: shortBuckets,
    maxLabelSets,
    aliases: aliases("request_enqueue_duration_seconds"),
  },
  cycleDuration: {
    name: "spillway_flow_control_dispatch_cycle_duration_seconds",
    help: "Time that one look for the next request took.",
    labels: [],
    buckets: shortBuckets,
    aliases: aliases("dispatch_cycle_duration_seconds"),
  },
  queueSize: {
    name: "spillway_flow_control_queue_size",
    help: "Requests in line.",
    labels: flowLabels,
    maxLabelSets,
    aliases: aliases("queue_size"),
  },
  queueBytes: {
    name: "spillway_flow_control_queue_bytes",
    help: "Bytes of the bodies of requests in line.",
    labels: flowLabels,
    maxLabelSets,
    aliases: aliases("queue_bytes"),
  },
  saturation: {
    name: "spillway_flow_control_pool_saturation",
    help: "How full the pool's servers are: 0 idle, 1 full, above: more than full.",
    labels: ["inference_pool", "stage"],
    aliases: aliases("pool_saturation"),
  },
  staleEndpoints: {
    name: "spillway_flow_control_stale_endpoints",
    help: "Servers whose metrics are missing or too old to judge them by, over all pools.",
    labels: ["detector"],
    aliases: aliases("stale_endpoints"),
  },
  bandRequests: {
    name: "spillway_flow_control_capacity_utilization_requests",
    help: "Share of a priority's places in line that are taken.",
    labels: ["priority", "inference_pool"],
    aliases: aliases("capacity_utilization_requests"),
  },
  bandBytes: {
    name: "spillway_flow_control_capacity_utilization_bytes",
    help: "Share of a priority's bytes in line that are taken.",
    labels: ["priority", "inference_pool"],
    aliases: aliases("capacity_utilization_bytes"),
  },
  globalRequests: {
    name: "spillway_flow_control_global_capacity_utilization_requests",
    help: "Share of all places in line that are taken; only where there is a bound.",
    labels: ["inference_pool"],
    aliases: aliases("global_capacity_utilization_requests"),
  },
  globalBytes: {
    name: "spillway_flow_control_global_capacity_utilization_bytes",
    help: "Share of all bytes in line that are taken; only where there is a bound.",
    labels: ["inference_pool"],
    aliases: aliases("global_capacity_utilization_bytes"),
  },
  revocationsIssued: {
    name: "spillway_flow_control_revocations_issued_total",
    help: "Requests under way that were called off for others, by their priority.",
    labels: ["priority", "inference_pool"],
    aliases: aliases("revocations_issued_total"),
  },
  revocations: {
    name: "spillway_flow_control_revocations_total",
    help: "The same by how it came out: confirmed, or timeout where the request had not ended ten seconds later.",
    labels: ["outcome", "inference_pool"],
    aliases: aliases("revocations_total"),
  },
  reclaimTarget: {
    name: "spillway_flow_control_reclaim_target",
    help: "Saturation that was to be made room for when requests were last called off.",
    labels: ["inference_pool"],
    aliases: aliases("reclaim_target"),
  },
  confirmation: {
    name: "spillway_flow_control_revocation_confirmation_seconds",
    help: "From calling a request off until its lease was settled.",
    labels: ["inference_pool"],
    buckets: waitBuckets,
    aliases: aliases("revocation_confirmation_seconds"),
  },
} as const satisfies Record<string, MetricDefinition & { readonly buckets?: readonly number[] }>;

/** Series of one flow, model and target; children by outcome are made when first needed. */
class FlowMeter {
  readonly size: MetricValue;
  readonly bytes: MetricValue;
  readonly #families: FlowFamilies;
  readonly #labels: FlowLabels;
  readonly #waits = new Map<string, MetricHistogram>();
  readonly #enqueued: MetricHistogram;

  constructor(families: FlowFamilies, labels: FlowLabels) {
    this.#families = families;
    this.#labels = labels;
    const { fairnessId, priority, pool, model, target } = labels;
    this.size = families.queueSize.with(fairnessId, priority, pool, model, target);
    this.bytes = families.queueBytes.with(fairnessId, priority, pool, model, target);
    this.#enqueued = families.enqueueDuration.with(fairnessId, priority, "Enqueued");
  }

  enqueued(tookMs: number): void {
    this.#enqueued.observe(tookMs / 1_000);
  }

  refused(outcome: string, tookMs: number): void {
    const { fairnessId, priority } = this.#labels;
    this.#families.enqueueDuration.with(fairnessId, priority, outcome).observe(tookMs / 1_000);
  }

  waited(outcome: string, ms: number): void {
    let wait = this.#waits.get(outcome);
    if (wait === undefined) {
      const { fairnessId, priority, pool, model, target } = this.#labels;
      wait = this.#families.queueDuration.with(fairnessId, priority, outcome, pool, model, target);
      this.#waits.set(outcome, wait);
    }
    wait.observe(ms / 1_000);
  }
}

interface FlowLabels {
  readonly fairnessId: string;
  readonly priority: string;
  readonly pool: string;
  readonly model: string;
  readonly target: string;
}

type FlowFamilies = ReturnType<typeof makeFamilies>;

function makeFamilies(metrics: Metrics) {
  return {
    requests: metrics.counter(flowMetrics.requests),
    queueDuration: metrics.histogram(flowMetrics.queueDuration),
    enqueueDuration: metrics.histogram(flowMetrics.enqueueDuration),
    cycleDuration: metrics.histogram(flowMetrics.cycleDuration),
    queueSize: metrics.gauge(flowMetrics.queueSize),
    queueBytes: metrics.gauge(flowMetrics.queueBytes),
    saturation: metrics.gauge(flowMetrics.saturation),
    staleEndpoints: metrics.gauge(flowMetrics.staleEndpoints),
    bandRequests: metrics.gauge(flowMetrics.bandRequests),
    bandBytes: metrics.gauge(flowMetrics.bandBytes),
    globalRequests: metrics.gauge(flowMetrics.globalRequests),
    globalBytes: metrics.gauge(flowMetrics.globalBytes),
    revocationsIssued: metrics.counter(flowMetrics.revocationsIssued),
    revocations: metrics.counter(flowMetrics.revocations),
    reclaimTarget: metrics.gauge(flowMetrics.reclaimTarget),
    confirmation: metrics.histogram(flowMetrics.confirmation),
  };
}

/** Flows, models and targets that are told apart in one pool; further ones share the label `other`. */
const maxMeters = 2_048;

/** What is read off a pool when somebody scrapes. */
export interface FlowReadings {
  readonly saturation: number;
  /** Shares, 0 to 1; `undefined` where there is no bound. */
  readonly requests: number | undefined;
  readonly bytes: number | undefined;
  readonly bands: readonly { readonly priority: number; readonly requests: number; readonly bytes: number }[];
}

/** Counts what happens in one pool's flow control. */
export class FlowMeters implements LineObserver {
  readonly #families: FlowFamilies;
  readonly #pool: string;
  readonly #meters = new Map<string, FlowMeter>();
  readonly #outcomes = new Map<string, MetricValue>();
  readonly #cycle: MetricHistogram;
  readonly #confirmation: MetricHistogram;

  /** `isEmpty`: the pool has no endpoint now. */
  constructor(metrics: Metrics, pool: string, isEmpty: () => boolean) {
    this.#families = makeFamilies(metrics);
    this.#pool = pool;
    this.#isEmpty = isEmpty;
    this.#cycle = this.#families.cycleDuration.with();
    this.#confirmation = this.#families.confirmation.with(pool);
  }

  readonly #isEmpty: () => boolean;

  joined(departure: LineDeparture, tookMs: number): void {
    const meter = this.#meterOf(departure);
    departure.note = meter;
    meter.size.value++;
    meter.bytes.value += departure.bound.bytes ?? 0;
    meter.enqueued(tookMs);
  }

  left(departure: LineDeparture, outcome: LineOutcome, now: number): void {
    const meter = departure.note instanceof FlowMeter ? departure.note : this.#meterOf(departure);
    meter.size.value--;
    meter.bytes.value -= departure.bound.bytes ?? 0;
    const name = outcomeInLine(outcome);
    meter.waited(name, now - departure.enqueuedAt);
    this.#count(name, departure.request.priority);
  }

  refused(departure: LineDeparture, outcome: LineOutcome, tookMs: number): void {
    const name = outcomeAtEntry(outcome, this.#isEmpty());
    this.#meterOf(departure).refused(name, tookMs);
    this.#count(name, departure.request.priority);
  }

  taken(tookMs: number): void {
    this.#cycle.observe(tookMs / 1_000);
  }

  /** A request got a place without waiting, or was shed without waiting. */
  passed(outcome: "Dispatched" | "RejectedCapacity", priority: number): void {
    this.#count(outcome, priority);
  }

  /** A request under way was called off, to bring the saturation down by so much. */
  revoked(priority: number, target: number): void {
    this.#families.revocationsIssued.with(String(priority), this.#pool).value++;
    this.#families.reclaimTarget.with(this.#pool).value = target;
  }

  /** What became of it, ms after. */
  revocationEnded(outcome: "confirmed" | "timeout", afterMs: number): void {
    this.#families.revocations.with(outcome, this.#pool).value++;
    if (outcome === "confirmed") this.#confirmation.observe(afterMs / 1_000);
  }

  /** Before each exposition. */
  read(readings: FlowReadings): void {
    const pool = this.#pool;
    const { saturation, bandRequests, bandBytes } = this.#families;
    saturation.with(pool, "effective").value = readings.saturation;
    if (readings.requests !== undefined) this.#families.globalRequests.with(pool).value = readings.requests;
    if (readings.bytes !== undefined) this.#families.globalBytes.with(pool).value = readings.bytes;
    for (const { priority, requests, bytes } of readings.bands) {
      bandRequests.with(String(priority), pool).value = requests;
      bandBytes.with(String(priority), pool).value = bytes;
    }
  }

  /** The gauge of stale servers, which pools with one detector share. */
  staleGauge(detector: string): MetricValue {
    return this.#families.staleEndpoints.with(detector);
  }

  #count(outcome: string, priority: number): void {
    const key = `${outcome} ${priority}`;
    let counter = this.#outcomes.get(key);
    if (counter === undefined) {
      counter = this.#families.requests.with(outcome, String(priority), this.#pool);
      // Priorities that callers make up do not make the map grow without end.
      if (this.#outcomes.size < maxMeters) this.#outcomes.set(key, counter);
    }
    counter.value++;
  }

  #meterOf({ request, bound }: LineDeparture): FlowMeter {
    const { fairnessId } = request.traits ?? plainTraits;
    const { shapeKey, model: target = shapeKey } = bound;
    const key = `${fairnessId}\n${request.priority}\n${request.model}\n${target}`;
    const known = this.#meters.get(key);
    if (known !== undefined) return known;
    const isOther = this.#meters.size >= maxMeters;
    const other = isOther ? this.#meters.get("") : undefined;
    if (other !== undefined) return other;
    const text = (value: string): string => (isOther ? "other" : value);
    const made = new FlowMeter(this.#families, {
      fairnessId: text(fairnessId),
      priority: text(String(request.priority)),
      pool: this.#pool,
      model: text(request.model),
      target: text(target),
    });
    this.#meters.set(isOther ? "" : key, made);
    return made;
  }
}

function outcomeInLine(outcome: LineOutcome): string {
  switch (outcome) {
    case "dispatched":
      return "Dispatched";
    case "expired":
      return "EvictedTTL";
    case "no-endpoints":
      return "EvictedNoEndpoints";
    case "cancelled":
      return "EvictedContextCancelled";
    default:
      return "EvictedOther";
  }
}

function outcomeAtEntry(outcome: LineOutcome, isEmpty: boolean): string {
  if (outcome === "no-endpoints") return "RejectedNoEndpoints";
  if (outcome !== "full" && outcome !== "band-full") return "RejectedOther";
  return isEmpty ? "RejectedNoEndpoints" : "RejectedCapacity";
}
