/** Image queries of earlier processes, as the monitor shows them. */
import type { StoredQuery } from "../../contracts/edge-store.ts";
import type { ImageQuery } from "../../core/detector.ts";
import { readQueryRecord } from "../read-record.ts";
import { sameFinding } from "../same-finding.ts";
import type { RecentQuery } from "./recent-queries.ts";

/** Undefined for a record that cannot be read. How long it took is NaN where the record does not say. */
export function readRecentQuery({ id, detectorId, createdAt, record }: StoredQuery): RecentQuery | undefined {
  const read = readQueryRecord(record);
  if (read === undefined) return undefined;
  const { query, local, escalation, withheld, cloud, latencyMs, localMs } = read;
  return {
    observation: {
      queryId: id,
      detectorId,
      at: createdAt,
      answeredBy: answererOf(query),
      failure: undefined,
      local: local && {
        finding: local.finding,
        confidence: local.confidence,
        model: local.model,
        latencyMs: localMs ?? Number.NaN,
      },
      threshold: query.confidenceThreshold,
      escalation,
      withheld,
      latencyMs: latencyMs ?? Number.NaN,
    },
    comparison:
      cloud === undefined || local === undefined
        ? undefined
        : {
            finding: cloud.finding,
            confidence: cloud.confidence,
            agreed: sameFinding(local.finding, cloud.finding),
            kind: escalation?.reason === "audit" ? "audit" : "escalation",
          },
  };
}

function answererOf({ result }: ImageQuery): "edge" | "cloud" | "later" {
  if (result === null) return "later";
  return result.fromEdge === true ? "edge" : "cloud";
}
