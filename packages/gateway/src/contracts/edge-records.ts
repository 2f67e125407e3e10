/** What the records and payloads in the edge endpoint's store say, as JSON. Who writes one and who reads it share these types. */
import type {
  EscalationReason,
  Finding,
  HumanReview,
  ImageQuery,
  JsonObject,
  QueryResult,
  Roi,
  WithheldReason,
} from "../core/detector.ts";

/** What the local model said of a query, for whoever compares or shows it later. */
export interface LocalRecord {
  readonly finding: Finding;
  readonly confidence: number;
  readonly rawConfidence: number;
  readonly outOfDomain: number | undefined;
  readonly probabilities: readonly number[] | undefined;
  readonly model: { readonly name: string; readonly version: string };
}

/** `StoredQuery.record`: a query as it was answered, and why so. */
export interface QueryRecord {
  /** As callers see it: after the cloud's answer, a label or a late answer with that. */
  readonly query: ImageQuery;
  /** Undefined where the local model was not asked or failed. */
  readonly local: LocalRecord | undefined;
  /** Why it went or goes to the cloud; undefined: it does not. */
  readonly escalation: { readonly reason: EscalationReason; readonly how: "asked" | "queued" } | undefined;
  readonly withheld: WithheldReason | undefined;
  /** From receipt to answer; undefined in records that do not say. */
  readonly latencyMs?: number | undefined;
  /** Of that the local model; undefined where it gave no answer. */
  readonly localMs?: number | undefined;
  /** What the cloud said, once it did; of an audit too, which does not change `query.result`. */
  readonly cloud: QueryResult | undefined;
  /** Of a query that was promised an answer later: what is needed to give it. Undefined once it is answered. */
  readonly pending: PendingQuery | undefined;
}

/** What a query that is answered later still needs. */
export interface PendingQuery {
  readonly humanReview: HumanReview;
  readonly inspectionId: string | undefined;
  /** The caller's. */
  readonly metadata: JsonObject | undefined;
}

/** `Escalation.payload` of the kind `query`: what `CloudSubmission` needs beside the picture, and what to compare with. */
export interface QueryPayload {
  readonly detectorId: string;
  readonly imageQueryId: string;
  readonly patienceTime: number | undefined;
  readonly confidenceThreshold: number | undefined;
  readonly humanReview: HumanReview;
  readonly inspectionId: string | undefined;
  /** The caller's and what is told of the edge's answer: at most 1,024 characters as JSON. */
  readonly metadata: JsonObject | undefined;
  readonly reason: EscalationReason;
  readonly local: LocalRecord | undefined;
}

/** `Escalation.payload` of the kind `label`, and `StoredLabel.record`. */
export interface LabelPayload {
  readonly imageQueryId: string;
  readonly label: string;
  readonly rois: readonly Roi[] | undefined;
}
