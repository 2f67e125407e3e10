/** What of an image query goes to the cloud, whether it is asked at once or gets the query out of the outbox. */
import type { CloudSubmission } from "../contracts/cloud.ts";
import type { QueryPayload } from "../contracts/edge-records.ts";
import type { Escalation, StoredQuery } from "../contracts/edge-store.ts";
import type { EscalationReason, JsonObject } from "../core/detector.ts";
import { edgeResultMetadata } from "../dialects/groundlight/metadata.ts";
import type { QueryCall, QueryDeps } from "./query-deps.ts";
import { localRecord } from "./query-outcomes.ts";
import type { QueryFacts } from "./query-record.ts";

/** The question while the caller waits. */
export function submissionOf(facts: QueryFacts, { picture, mediaType }: QueryCall): CloudSubmission {
  return {
    ...questionOf(facts),
    metadata: metadataOf(facts, false),
    picture,
    mediaType,
    wantAsync: false,
  };
}

/** The same for the outbox, and the query as the store keeps it. */
export function escalationOf(
  facts: QueryFacts,
  { picture, mediaType, submission }: QueryCall,
  { reason, query }: { readonly reason: EscalationReason; readonly query: StoredQuery },
): Escalation {
  const payload: QueryPayload = {
    ...questionOf(facts),
    metadata: metadataOf(facts, reason === "audit"),
    reason,
    local: localRecord(facts.local),
  };
  return {
    id: facts.id,
    detectorId: payload.detectorId,
    kind: "query",
    payload: JSON.stringify(payload),
    // The picture of a promised answer is on the disk.
    ...(!submission.wantAsync && { picture: { bytes: picture, mediaType } }),
    query,
  };
}

/** Whose token the cloud is asked with: the policy's, else the device's, which is undefined here, else the caller's. */
export function cloudTokenOf(
  { known }: Pick<QueryFacts, "known">,
  { token }: QueryCall,
  { reveal, hasDeviceToken }: QueryDeps,
): string | undefined {
  const { apiToken } = known.policy;
  if (apiToken !== undefined) return reveal(apiToken);
  return hasDeviceToken ? undefined : token;
}

function questionOf({ id, known, submission }: QueryFacts) {
  const { patienceTime, confidenceThreshold, humanReview, inspectionId } = submission;
  return {
    detectorId: known.detector.id,
    imageQueryId: id,
    patienceTime,
    confidenceThreshold,
    humanReview,
    inspectionId,
  };
}

function metadataOf({ known, local, submission }: QueryFacts, audit: boolean): JsonObject | undefined {
  return edgeResultMetadata({
    detector: known.detector,
    answer: local,
    audit,
    metadata: submission.metadata,
  });
}
