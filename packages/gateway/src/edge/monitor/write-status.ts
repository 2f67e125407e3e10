/** Turns what the monitor counted into what the status page shows. */
import { escalationReasons, withheldReasons } from "../../core/detector.ts";
import { classOf } from "./activity.ts";
import {
  comparisonKinds,
  confidenceBuckets,
  Counters,
  lastKinds,
  latencyOf,
  quantileMs,
} from "./counters.ts";
import type { EdgeMonitor } from "./create-edge-monitor.ts";
import { dayMs, hourMs, kept, minuteKinds, type DetectorActivity } from "./detector-activity.ts";
import { explain } from "./explain.ts";
import type { MachineMeter } from "./machine-meter.ts";
import type { MonitoredDetector } from "./monitored.ts";
import type { RecentQuery } from "./recent-queries.ts";
import type {
  StatusActivity,
  StatusAgreement,
  StatusData,
  StatusDetector,
  StatusLatency,
  StatusOutbox,
  StatusQuery,
  StatusReports,
  StatusSlot,
  StatusSummary,
} from "./status-data.ts";

const nothing = new Counters();
const maxClasses = 12;

/** What the page's data is made from. */
export interface StatusSources {
  readonly monitor: EdgeMonitor;
  readonly machine: MachineMeter;
  /** Undefined without a cloud. */
  readonly reports: (() => StatusReports) | undefined;
  /** Wall time, ms. */
  readonly now: () => number;
  readonly store: () => StatusData["store"];
}

/** Detectors that are written in one turn of the event loop. */
const inOneTurn = 8;

/** Everything but charts. `recent`: how many of the last queries. */
export async function writeStatus(sources: StatusSources, recent: number): Promise<StatusData> {
  const { monitor, machine, reports, now: clock, store } = sources;
  monitor.flush();
  const now = clock();
  const { device } = monitor.parts;
  const detectors = await listDetectors(monitor, now);
  return {
    now,
    restored: monitor.restored,
    device: {
      id: device.id,
      name: device.name,
      version: device.version,
      startedAt: monitor.startedAt,
      ...machine.read(),
    },
    cloud: writeCloud(monitor),
    outbox: writeOutbox(monitor),
    reports: reports?.() ?? null,
    store: store(),
    totals: summarize(monitor.activity.all, now),
    detectors,
    recent: monitor.recent.list().slice(0, recent).map(writeQuery),
  };
}

/** Charts of a detector, or of all. */
export function writeActivity(
  monitor: EdgeMonitor,
  { span, detectorId, now }: { span: "hours" | "days"; detectorId: string | undefined; now: number },
): StatusActivity {
  monitor.flush();
  const { activity } = monitor;
  const found = detectorId === undefined ? activity.all : activity.find(detectorId);
  const unitMs = span === "hours" ? hourMs : dayMs;
  const last = Math.floor(now / unitMs);
  const all = new Counters();
  const slots = Array.from({ length: kept[span] }, (_, index) => {
    const unit = last - kept[span] + 1 + index;
    const slot = (span === "hours" ? found?.hour(unit) : found?.day(unit)) ?? nothing;
    all.mergeFixed(slot);
    return writeSlot(slot, unit * unitMs);
  });
  const known = monitor.parts.detectors().find(({ id }) => id === detectorId);
  return {
    span,
    detectorId: detectorId ?? null,
    slots,
    confidence: all.series("confidence", confidenceBuckets),
    threshold: known?.threshold ?? null,
    classes: found === undefined || found === activity.all ? [] : classesOf(found, span, last),
  };
}

function writeSlot(counters: Counters, start: number): StatusSlot {
  const reasons = escalationReasons.map((each) => [each, counters.get(`escalation.${each}`)] as const);
  return {
    start,
    answered: {
      edge: counters.get("answered.edge"),
      cloud: counters.get("answered.cloud"),
      later: counters.get("answered.later"),
      none: counters.get("answered.none"),
    },
    escalations: Object.fromEntries(reasons.filter(([, count]) => count > 0)),
    withheld: sumOf(counters, withheldReasons, "withheld"),
    agreement: agreementIn(counters),
    latency: latenciesOf(counters, "latency"),
  };
}

function classesOf(
  detector: DetectorActivity,
  span: "hours" | "days",
  last: number,
): { name: string; count: number }[] {
  const total = new Map<string, number>();
  for (let unit = last - kept[span] + 1; unit <= last; unit += 1) {
    const slot = span === "hours" ? detector.hour(unit) : detector.day(unit);
    for (const [name, count] of Object.entries(slot?.named("class") ?? {}))
      total.set(name, (total.get(name) ?? 0) + count);
  }
  return [...total]
    .map(([name, count]) => ({ name, count }))
    .sort((a, b) => b.count - a.count || a.name.localeCompare(b.name))
    .slice(0, maxClasses);
}

function summarize(counted: DetectorActivity | undefined, now: number): StatusSummary {
  const day = counted?.lastDay(now) ?? nothing;
  const week = counted?.lastWeek(now) ?? nothing;
  const series = minuteKinds.map((kind) => counted?.minuteSeries(now, kind) ?? []);
  const [queries = 0, escalations = 0, audits = 0, failures = 0] = series.map((values) =>
    values.reduce((sum, value) => sum + value, 0),
  );
  return {
    lastHour: { queries, escalations, audits, failures },
    lastDay: {
      queries: day.get("queries"),
      escalations: sumOf(day, escalationReasons, "escalation") - day.get("escalation.audit"),
      audits: day.get("escalation.audit"),
      failures: day.get("failed"),
      below: day.get("below"),
      withheld: sumOf(day, withheldReasons, "withheld"),
    },
    minutes: series[0] ?? [],
    agreement: agreementIn(week),
    latency: latenciesOf(day, "latency"),
    local: latenciesOf(day, "local"),
  };
}

function sumOf(counters: Counters, names: readonly string[], prefix: string): number {
  return names.reduce((sum, name) => sum + counters.get(`${prefix}.${name}`), 0);
}

function agreementIn(counters: Counters): StatusAgreement {
  const entries = comparisonKinds.map((kind) => {
    const agreed = counters.get(`agreed.${kind}`);
    return [kind, { agreed, compared: agreed + counters.get(`differed.${kind}`) }] as const;
  });
  return Object.fromEntries(entries) as StatusAgreement;
}

function latenciesOf(counters: Counters, which: "latency" | "local"): StatusLatency {
  const buckets = latencyOf(counters, which);
  return { p50: quantileMs(buckets, 0.5) ?? null, p95: quantileMs(buckets, 0.95) ?? null };
}

/** Those that are known, then those of which there are only counts. */
async function listDetectors(monitor: EdgeMonitor, now: number): Promise<StatusDetector[]> {
  const known = monitor.parts.detectors();
  const ids = new Set(known.map(({ id }) => id));
  const others = monitor.activity.ids.filter((id) => !ids.has(id));
  const all = [...known.map(toldOf), ...others.map(unknownDetector)];
  const written: StatusDetector[] = [];
  for (const [index, each] of all.entries()) {
    if (index > 0 && index % inOneTurn === 0) await new Promise((resolve) => setImmediate(resolve));
    written.push(writeDetector(monitor, each, now));
  }
  return written;
}

type Told = Pick<
  StatusDetector,
  | "id"
  | "name"
  | "query"
  | "mode"
  | "threshold"
  | "origin"
  | "policy"
  | "model"
  | "ready"
  | "reason"
  | "updater"
  | "calibration"
>;

function unknownDetector(id: string): Told {
  const nothing = { threshold: null, origin: null, policy: null, model: null, updater: null };
  return {
    id,
    name: id === "other" ? "Other detectors" : id,
    query: "",
    mode: "",
    ...nothing,
    ready: false,
    reason: "Only counts of this detector are known",
    calibration: null,
  };
}

function toldOf(detector: MonitoredDetector): Told {
  const { model, updater, calibration } = detector;
  return {
    ...detector,
    threshold: detector.threshold ?? null,
    model: model === undefined ? null : { name: model.name, version: model.version ?? null },
    updater:
      updater === undefined
        ? null
        : {
            state: updater.state,
            reason: updater.reason,
            wanted: updater.wanted ?? null,
            since: updater.since ?? null,
          },
    calibration: calibration ?? null,
  };
}

function writeDetector({ activity }: EdgeMonitor, detector: Told, now: number): StatusDetector {
  const counted = activity.find(detector.id);
  const last = lastKinds.map((kind) => [kind, counted?.lastAt(kind) ?? null] as const);
  return {
    ...detector,
    ...summarize(counted, now),
    last: Object.fromEntries(last) as StatusDetector["last"],
  };
}

function writeQuery({ observation, comparison }: RecentQuery): StatusQuery {
  const { local, escalation } = observation;
  return {
    id: observation.queryId,
    detectorId: observation.detectorId,
    at: observation.at,
    answeredBy: observation.answeredBy,
    answer: local === undefined ? null : classOf(local.finding),
    confidence: local?.confidence ?? null,
    threshold: observation.threshold,
    model: local?.model ?? null,
    latencyMs: observation.latencyMs,
    localMs: local?.latencyMs ?? null,
    escalation: escalation ?? null,
    withheld: observation.withheld ?? null,
    failure: observation.failure ?? null,
    why: explain(observation),
    comparison:
      comparison === undefined
        ? null
        : {
            answer: classOf(comparison.finding),
            confidence: comparison.confidence,
            agreed: comparison.agreed,
            kind: comparison.kind,
          },
  };
}

function writeCloud({ parts }: EdgeMonitor): StatusData["cloud"] {
  const cloud = parts.cloud();
  if (cloud === undefined) return null;
  const { state, since, reason } = cloud.health;
  return { address: cloud.address, dashboard: dashboardOf(cloud.address), state, since, reason };
}

/** Where people see the cloud's side: the API's host with `dashboard.` for `api.`; of another host the address itself. */
export function dashboardOf(address: string): string {
  const { host, origin } = new URL(address);
  return host.startsWith("api.") ? `https://dashboard.${host.slice(4)}` : origin;
}

function writeOutbox({ outbox, rejected, parts }: EdgeMonitor): StatusOutbox | null {
  if (outbox === undefined) return null;
  return {
    waiting: outbox.waiting,
    bytes: outbox.bytes,
    capacityBytes: parts.outboxBytes,
    oldestAt: outbox.oldestAt ?? null,
    rejected: outbox.rejected,
    lastRejected: rejected.map(({ id, detectorId, kind, reason, attempts, rejectedAt }) => ({
      id,
      detectorId,
      kind,
      reason,
      attempts,
      rejectedAt,
    })),
  };
}
