/** What is told of an image query: to its caller, to the store, to whoever counts. */
import type { PendingQuery, QueryRecord } from "../contracts/edge-records.ts";
import type { AgreementObservation, QueryObservation } from "../contracts/edge-observer.ts";
import type { StoredQuery } from "../contracts/edge-store.ts";
import type {
  EscalationReason,
  ImageQuery,
  LocalAnswer,
  QueryResult,
  QuerySubmission,
  WithheldReason,
} from "../core/detector.ts";
import type { ErrorCode } from "../core/errors.ts";
import { edgeAnswerMetadata } from "../dialects/groundlight/metadata.ts";
import type { ReadyDetector } from "./detectors/registry.ts";
import { localRecord } from "./query-outcomes.ts";
import { sameFinding } from "./same-finding.ts";

/** A query as far as it is known. */
export interface QueryFacts {
  readonly id: string;
  /** Milliseconds since the Unix epoch. */
  readonly createdAt: number;
  readonly known: ReadyDetector;
  readonly submission: QuerySubmission;
  /** In force for this query, 0 to 1. */
  readonly threshold: number;
  readonly local: LocalAnswer | undefined;
  /** From asking the local model to its answer. */
  readonly localMs: number;
  /** From receipt until now; of what is promised, until the promise. */
  readonly latencyMs: number;
}

/** How a query ended. */
export interface Ending {
  readonly answeredBy: "edge" | "cloud" | "later";
  readonly result: QueryResult | null;
  readonly done: boolean;
  readonly escalation: QueryRecord["escalation"];
  readonly withheld: WithheldReason | undefined;
}

/** The query as its caller sees it, answered here. */
export function imageQueryOf(
  facts: QueryFacts,
  { result, done }: Pick<Ending, "result" | "done">,
): ImageQuery {
  const { submission, known } = facts;
  const { detector } = known;
  const local = result === null ? undefined : facts.local;
  return {
    id: facts.id,
    detectorId: detector.id,
    mode: detector.mode,
    query: detector.query,
    createdAt: new Date(facts.createdAt).toISOString(),
    result,
    patienceTime: submission.patienceTime ?? detector.patienceTime,
    confidenceThreshold: facts.threshold,
    rois: local?.rois ?? null,
    text: local?.text ?? null,
    doneProcessing: done,
    metadata: edgeAnswerMetadata(submission.metadata, local?.model),
  };
}

/** The query for the store; with what is needed to answer it later where that is promised. */
export function storedQueryOf(
  facts: QueryFacts,
  query: ImageQuery,
  ending: Ending,
  pending?: PendingQuery,
): StoredQuery {
  const { escalation, withheld, answeredBy, result } = ending;
  const record: QueryRecord = {
    query,
    local: localRecord(facts.local),
    escalation,
    withheld,
    latencyMs: toMicroseconds(facts.latencyMs),
    localMs: facts.local && toMicroseconds(facts.localMs),
    cloud: answeredBy === "cloud" ? (result ?? undefined) : undefined,
    pending,
  };
  return {
    id: query.id,
    detectorId: query.detectorId,
    createdAt: facts.createdAt,
    record: JSON.stringify(record),
  };
}

/** Digits below that are the clock's noise. */
function toMicroseconds(ms: number): number {
  return Math.round(ms * 1_000) / 1_000;
}

/** The query for whoever counts. */
export function observationOf(
  facts: QueryFacts,
  ended: Pick<QueryObservation, "answeredBy" | "escalation" | "withheld" | "latencyMs"> & {
    readonly failure: ErrorCode | undefined;
  },
): QueryObservation {
  const { local, localMs } = facts;
  return {
    queryId: facts.id,
    detectorId: facts.known.detector.id,
    at: facts.createdAt,
    ...ended,
    local: local && {
      finding: local.finding,
      confidence: local.confidence,
      model: local.model,
      latencyMs: localMs,
    },
    threshold: facts.threshold,
  };
}

/** What the cloud says beside what was said here; undefined where one of them says nothing. */
export function agreementOf(
  facts: QueryFacts,
  cloud: QueryResult | null,
  reason: EscalationReason,
): AgreementObservation | undefined {
  const { local } = facts;
  if (local === undefined || cloud === null || cloud.source === "STILL_PROCESSING") return undefined;
  return {
    queryId: facts.id,
    detectorId: facts.known.detector.id,
    at: facts.createdAt,
    kind: "escalation",
    reason,
    edge: {
      finding: local.finding,
      rawConfidence: local.rawConfidence,
      confidence: local.confidence,
      model: local.model,
    },
    cloud: { finding: cloud.finding, confidence: cloud.confidence },
    agreed: sameFinding(local.finding, cloud.finding),
  };
}
