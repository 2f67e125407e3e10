/**
 * What `/status/data.json` and `/status/activity.json` answer: the page's script reads these types too, so nothing here
 * needs Node. Times are milliseconds since the Unix epoch, durations ms, shares 0 to 1; null says that it is not known.
 */

/** Counts over some time. Audits are not among the escalations. */
export interface StatusCounts {
  readonly queries: number;
  readonly escalations: number;
  readonly audits: number;
  readonly failures: number;
}

/** How often the cloud, or a person, said the same: of sure answers, of unsure ones, of those that somebody labelled. */
export type StatusAgreement = Readonly<
  Record<"audit" | "escalation" | "label", { readonly agreed: number; readonly compared: number }>
>;

/** What a detector, or all of them, did lately. */
export interface StatusSummary {
  /** The last 60 minutes. */
  readonly lastHour: StatusCounts;
  /** The current hour and the 23 before. */
  readonly lastDay: StatusCounts & { readonly below: number; readonly withheld: number };
  /** Queries by minute, the oldest of 60 first. */
  readonly minutes: readonly number[];
  /** Of the last 7 days, by kind; `agreed` of `compared`. */
  readonly agreement: StatusAgreement;
  /** Of the last day: from receipt to answer, and of the local model. */
  readonly latency: StatusLatency;
  readonly local: StatusLatency;
}

/** Quantiles of a duration. */
export interface StatusLatency {
  readonly p50: number | null;
  readonly p95: number | null;
}

/** A detector. */
export interface StatusDetector extends StatusSummary {
  readonly id: string;
  readonly name: string;
  readonly query: string;
  readonly mode: string;
  /** Null for one that is known only by its counts. */
  readonly threshold: number | null;
  readonly origin: "configuration" | "cloud" | null;
  readonly policy: {
    readonly name: string;
    readonly enabled: boolean;
    readonly alwaysReturnEdgePrediction: boolean;
    readonly disableCloudEscalation: boolean;
    readonly minTimeBetweenEscalationsMs: number;
  } | null;
  readonly model: { readonly name: string; readonly version: string | null } | null;
  readonly ready: boolean;
  readonly reason: string;
  readonly updater: {
    readonly state: string;
    readonly reason: string;
    readonly wanted: string | null;
    readonly since: number | null;
  } | null;
  readonly calibration: string | null;
  readonly last: Readonly<Record<"query" | "escalation" | "audit" | "below" | "failure", number | null>>;
}

/** One of the last image queries. */
export interface StatusQuery {
  readonly id: string;
  readonly detectorId: string;
  readonly at: number;
  readonly answeredBy: "edge" | "cloud" | "later" | "none";
  /** In a word or two; null where the local model gave no answer. */
  readonly answer: string | null;
  readonly confidence: number | null;
  readonly threshold: number;
  readonly model: { readonly name: string; readonly version: string } | null;
  readonly latencyMs: number | null;
  readonly localMs: number | null;
  readonly escalation: { readonly reason: string; readonly how: "asked" | "queued" } | null;
  readonly withheld: string | null;
  readonly failure: string | null;
  /** A sentence. */
  readonly why: string;
  readonly comparison: {
    readonly answer: string;
    readonly confidence: number | null;
    readonly agreed: boolean;
    readonly kind: "audit" | "escalation" | "label";
  } | null;
}

/** This machine. */
export interface StatusDevice {
  readonly id: string;
  readonly name: string;
  readonly version: string;
  readonly startedAt: number;
  readonly cpuCores: number;
  /** Of all cores, since it was last asked. */
  readonly cpuShare: number;
  readonly memoryTotalBytes: number;
  readonly memoryUsedBytes: number;
  /** Resident memory of the gateway's process. */
  readonly gatewayBytes: number;
}

/** The outbox and what was given up. */
export interface StatusOutbox {
  readonly waiting: number;
  readonly bytes: number;
  readonly capacityBytes: number;
  readonly oldestAt: number | null;
  readonly rejected: number;
  readonly lastRejected: readonly {
    readonly id: string;
    readonly detectorId: string;
    readonly kind: string;
    readonly reason: string;
    readonly attempts: number;
    readonly rejectedAt: number;
  }[];
}

/** Hourly reports to the cloud. */
export interface StatusReports {
  readonly lastSentAt: number | null;
  readonly nextAt: number | null;
  /** Hours that are over and not reported. */
  readonly pending: number;
  /** Of the last attempt; null when it went well. */
  readonly failure: string | null;
}

/** `/status/data.json`. */
export interface StatusData {
  readonly now: number;
  /** False while counts of earlier processes are still being read. */
  readonly restored: boolean;
  readonly device: StatusDevice;
  /** Null: there is none. */
  readonly cloud: {
    readonly address: string;
    readonly dashboard: string;
    readonly state: "unknown" | "reachable" | "unreachable";
    readonly since: number;
    readonly reason: string;
  } | null;
  readonly outbox: StatusOutbox | null;
  /** Null without a cloud. */
  readonly reports: StatusReports | null;
  readonly store: {
    readonly lostRecords: number;
    readonly skippedPictures: number;
    readonly restarts: number;
  };
  readonly totals: StatusSummary;
  readonly detectors: readonly StatusDetector[];
  /** Newest first. */
  readonly recent: readonly StatusQuery[];
}

/** One hour or day of a chart. */
export interface StatusSlot {
  readonly start: number;
  readonly answered: Readonly<Record<"edge" | "cloud" | "later" | "none", number>>;
  /** Audits included, by reason; what is 0 is left out. */
  readonly escalations: Readonly<Record<string, number>>;
  readonly withheld: number;
  readonly agreement: StatusAgreement;
  readonly latency: StatusLatency;
}

/** `/status/activity.json`. */
export interface StatusActivity {
  readonly span: "hours" | "days";
  /** Null for all. */
  readonly detectorId: string | null;
  readonly slots: readonly StatusSlot[];
  /** Answers of local models by confidence, in 20 buckets of 5 %, over all slots. */
  readonly confidence: readonly number[];
  /** Of one detector only, null for all. */
  readonly threshold: number | null;
  /** Answers of local models by class, of one detector, most frequent first. */
  readonly classes: readonly { readonly name: string; readonly count: number }[];
}
