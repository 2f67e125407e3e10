/** What the cloud's answer changes of a query that was answered here, and whether both say the same. Pure. */
import type { AgreementObservation } from "../../contracts/edge-observer.ts";
import type { LocalRecord, QueryRecord } from "../../contracts/edge-records.ts";
import type { StoredQuery } from "../../contracts/edge-store.ts";
import type { EscalationReason, ImageQuery } from "../../core/detector.ts";
import { readQueryRecord } from "../read-record.ts";
import { sameFinding } from "../same-finding.ts";

/** True once the cloud has said something of the picture. */
export function isAnswered({ result }: ImageQuery): boolean {
  return result !== null && result.source !== "STILL_PROCESSING";
}

/**
 * The stored query with the cloud's answer: that of an escalation is the query's answer from now on, unless a person has
 * labelled it here; that of an audit stands beside the edge's. Undefined where nothing changes or the record cannot be read.
 */
export function withCloudAnswer(stored: StoredQuery, answer: ImageQuery): StoredQuery | undefined {
  const record = readQueryRecord(stored.record);
  if (record === undefined || !isAnswered(answer)) return undefined;
  const { query, escalation } = record;
  const keepsOwn = escalation?.reason === "audit" || query.result?.source === "USER";
  const { result, rois, text, doneProcessing } = answer;
  const merged: QueryRecord = {
    ...record,
    query: keepsOwn
      ? query
      : { ...query, result, rois, text, doneProcessing, metadata: withoutEdgeMark(query.metadata) },
    cloud: result ?? undefined,
    pending: undefined,
  };
  return { ...stored, record: JSON.stringify(merged) };
}

/** The answer is the cloud's now. Which model of the edge had said what stays told. */
function withoutEdgeMark(metadata: ImageQuery["metadata"]): ImageQuery["metadata"] {
  if (metadata === null) return null;
  const { is_from_edge: _mark, ...rest } = metadata;
  return rest;
}

/** What was asked, for a comparison. */
export interface Compared {
  readonly queryId: string;
  readonly detectorId: string;
  /** Of the query, milliseconds since the Unix epoch. */
  readonly at: number;
  /** Why the cloud was asked. */
  readonly reason: EscalationReason;
  /** Undefined where no local model answered. */
  readonly local: LocalRecord | undefined;
}

/** The comparison; undefined where one of both said nothing. */
export function compare(
  { queryId, detectorId, at, reason, local }: Compared,
  { result }: ImageQuery,
): AgreementObservation | undefined {
  if (local === undefined || result === null || result.source === "STILL_PROCESSING") return undefined;
  const { finding, rawConfidence, confidence, model } = local;
  return {
    queryId,
    detectorId,
    at,
    kind: reason === "audit" ? "audit" : "escalation",
    reason,
    edge: { finding, rawConfidence, confidence, model },
    cloud: { finding: result.finding, confidence: result.confidence },
    agreed: sameFinding(finding, result.finding),
  };
}
