/**
 * `/status/metrics.json` and `/status/resources.json` as Groundlight's edge endpoint 0.7 has them, and what is reported to the
 * cloud each hour. What the cloud's search index takes as text is JSON in a string there and here.
 */
import { availableParallelism } from "node:os";
import type { JsonObject, JsonValue } from "../../core/detector.ts";
import { escalationReasons } from "../../core/detector.ts";
import { confidenceBuckets, type Counters } from "./counters.ts";
import type { EdgeMonitor } from "./create-edge-monitor.ts";
import { hourMs } from "./detector-activity.ts";
import type { MachineMeter } from "./machine-meter.ts";
import type { MonitoredDetector } from "./monitored.ts";

const noKubernetes = { error: "Not running in a Kubernetes cluster" };

/** What the payloads are made from. */
export interface PayloadSources {
  readonly monitor: EdgeMonitor;
  readonly machine: MachineMeter;
  /** Wall time, ms. */
  readonly now: () => number;
}

/** The payload about an hour since the epoch; `/status/metrics.json` shows the last full one. */
export function writeMetricsPayload({ monitor, machine, now }: PayloadSources, hour: number): JsonObject {
  monitor.flush();
  return {
    device_info: deviceInfo(monitor, machine, now()),
    activity_metrics: activityMetrics(monitor, hour),
    failed_escalations: failedEscalations(monitor, hour),
    detector_details: JSON.stringify(detectorDetails(monitor)),
    k3s_stats: noKubernetes,
  };
}

/** `2026-01-31_07`, UTC. */
export function hourName(hour: number): string {
  return new Date(hour * hourMs).toISOString().slice(0, 13).replace("T", "_");
}

function deviceInfo({ parts: { device } }: EdgeMonitor, machine: MachineMeter, now: number): JsonObject {
  const { cpuCores, cpuShare, memoryTotalBytes, memoryUsedBytes } = machine.read();
  return {
    device_id: device.id,
    device_metadata: { uuid: device.id, friendly_name: device.name, created_at: device.createdAt },
    now: new Date(now).toISOString(),
    cpucores: cpuCores,
    inference_flavor: "cpu",
    cpu_utilization: percent(cpuShare),
    memory_utilization: percent(memoryUsedBytes / memoryTotalBytes),
    memory_available_bytes: memoryTotalBytes - memoryUsedBytes,
    edge_software: `spillway ${device.version}`,
  };
}

function activityMetrics({ activity }: EdgeMonitor, hour: number): JsonObject {
  const lastAt = activity.ids.map((id) => activity.find(id)?.lastAt("query") ?? 0);
  const ofHour = activity.ids.map((id) => [id, activity.find(id)?.hour(hour)] as const);
  const activeSince = (first: number): number =>
    activity.ids.filter((id) => {
      for (let each = first; each <= hour; each += 1)
        if ((activity.find(id)?.hour(each)?.get("queries") ?? 0) > 0) return true;
      return false;
    }).length;
  const perDetector = ofHour.map(([id, counters]) => [id, detectorActivity({ activity }, id, counters)]);
  return {
    activity_hour: hourName(hour),
    last_activity_time: timeOf(Math.max(0, ...lastAt)),
    num_detectors_lifetime: activity.ids.length,
    num_detectors_active_1h: activeSince(hour),
    num_detectors_active_24h: activeSince(hour - 23),
    detector_activity_previous_hour: JSON.stringify(Object.fromEntries(perDetector)),
  };
}

function detectorActivity(
  { activity }: Pick<EdgeMonitor, "activity">,
  id: string,
  counters: Counters | undefined,
): JsonObject {
  const detector = activity.find(id);
  const count = (name: string): number => counters?.get(name) ?? 0;
  const escalations = escalationReasons
    .filter((reason) => reason !== "audit")
    .reduce((sum, reason) => sum + count(`escalation.${reason}`), 0);
  const last = (kind: "query" | "escalation" | "audit" | "below"): string | null =>
    timeOf(detector?.lastAt(kind) ?? 0);
  return {
    hourly_total_iqs: count("queries"),
    hourly_total_escalations: escalations,
    hourly_total_audits: count("escalation.audit"),
    hourly_total_below_threshold_iqs: count("below"),
    last_iq: last("query"),
    last_escalation: last("escalation"),
    last_audit: last("audit"),
    last_below_threshold_iq: last("below"),
    escalations_by_class: counters?.named("escalatedClass") ?? {},
    below_threshold_iqs_by_class: counters?.named("belowClass") ?? {},
    confidence_histogram: confidenceHistogram(counters),
  };
}

function confidenceHistogram(counters: Counters | undefined): JsonObject {
  const byClass: Record<string, number[]> = {};
  for (let bucket = 0; bucket < confidenceBuckets; bucket += 1)
    for (const [label, count] of Object.entries(counters?.named(`bucket${bucket}`) ?? {})) {
      const counts = (byClass[label] ??= Array.from({ length: confidenceBuckets }, () => 0));
      counts[bucket] = count;
    }
  return {
    version: 2,
    bucket_width: 100 / confidenceBuckets,
    counts:
      counters?.series("confidence", confidenceBuckets) ?? Array.from({ length: confidenceBuckets }, () => 0),
    by_class: byClass,
  };
}

function failedEscalations({ activity, rejected }: EdgeMonitor, hour: number): JsonObject {
  const total = activity.ids.reduce(
    (sum, id) => sum + (activity.find(id)?.hour(hour)?.get("delivery.rejected") ?? 0),
    0,
  );
  const ofHour = rejected.filter(({ rejectedAt }) => Math.floor(rejectedAt / hourMs) === hour);
  const reasons: Record<string, number> = {};
  for (const { reason } of ofHour) reasons[reason.slice(0, 200)] = (reasons[reason.slice(0, 200)] ?? 0) + 1;
  return {
    activity_hour: hourName(hour),
    last_failed_time: timeOf(rejected[0]?.rejectedAt ?? 0),
    failed_last_hour_total: total,
    failed_last_hour_by_exception: JSON.stringify(reasons),
  };
}

function detectorDetails({ parts }: EdgeMonitor): JsonObject {
  return Object.fromEntries(parts.detectors().map((each) => [each.id, detailsOf(each)]));
}

function detailsOf(detector: MonitoredDetector): JsonObject {
  const { policy, model, updater } = detector;
  return {
    status: statusOf(detector),
    status_detail: detector.ready ? null : detector.reason,
    deploy_time: updater?.since === undefined ? null : timeOf(updater.since),
    query: detector.query,
    mode: detector.mode,
    detector_name: detector.name,
    pipeline_config: model === undefined ? null : `${model.name} ${model.version ?? ""}`.trim(),
    last_updated_time: updater?.since === undefined ? null : timeOf(updater.since),
    edge_inference_config: {
      enabled: policy.enabled,
      always_return_edge_prediction: policy.alwaysReturnEdgePrediction,
      disable_cloud_escalation: policy.disableCloudEscalation,
      min_time_between_escalations: policy.minTimeBetweenEscalationsMs / 1_000,
    },
  };
}

/** In the words of Groundlight's page: ready, initializing, error. */
function statusOf({ ready, model, updater }: MonitoredDetector): string {
  if (ready) return updater?.wanted === undefined ? "ready" : "updating";
  return model === undefined && updater !== undefined ? "initializing" : "error";
}

/** `/status/resources.json`. Memory and time of worker processes are among `other`: they are told by `/metrics`. */
export function writeResources({ machine }: Pick<PayloadSources, "machine">): JsonValue {
  const reading = machine.read();
  const total = percent(reading.cpuShare);
  const own = Math.min(total, percent(reading.gatewayCpuShare));
  return {
    system: {
      cpu_utilization_pct: {
        total,
        detectors: 0,
        loading_detectors: 0,
        edge_endpoint: own,
        other: round(total - own),
      },
      ram_bytes: {
        total: reading.memoryTotalBytes,
        used: reading.memoryUsedBytes,
        detectors: 0,
        loading_detectors: 0,
        edge_endpoint: reading.gatewayBytes,
        other: Math.max(0, reading.memoryUsedBytes - reading.gatewayBytes),
        eviction_threshold_pct: null,
      },
      cpu_cores: availableParallelism(),
      gpu: { vram_bytes: {}, compute_utilization_pct: {}, memory_bandwidth_pct: {}, devices: [] },
    },
    detectors: [],
  };
}

function timeOf(at: number): string | null {
  return at === 0 ? null : new Date(at).toISOString();
}

function percent(share: number): number {
  return round(share * 100);
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
