/** Failures of the local model as `decide` takes them, and refusals as callers read them. */
import type { LocalRecord } from "../contracts/edge-records.ts";
import type { LocalAnswer } from "../core/detector.ts";
import { failure, type Failure } from "../core/errors.ts";
import type { LocalOutcome, Refusal } from "./decide.ts";
import type { KnownDetector } from "./detectors/registry.ts";

/** What kind of failure it is. */
export function localOutcomeOf({ code }: Failure): LocalOutcome {
  switch (code) {
    case "invalid_image":
      return { kind: "bad_picture" };
    case "upstream_timeout":
    case "queue_timeout":
      return { kind: "timeout" };
    case "model_not_found":
    case "version_not_found":
    case "model_unavailable":
    case "model_load_failed":
      return { kind: "none" };
    default:
      return { kind: "failed" };
  }
}

/** A refusal in words. */
export function refusalOf(
  why: Refusal,
  { known, localFailure }: { readonly known: KnownDetector; readonly localFailure: Failure | undefined },
): Failure {
  switch (why) {
    case "review_of_edge_answers":
      return failure("bad_request", "Human review cannot be required if edge predictions are required.");
    case "review_without_cloud":
      return failure("bad_request", "Human review cannot be required: nothing goes to the cloud from here.");
    case "edge_answer_required":
      return failure(
        "model_unavailable",
        `Edge predictions are required, but no model can answer for detector_id='${known.id}'. ${localFailure?.message ?? ""}`.trim(),
      );
    case "local":
      return (
        localFailure ??
        failure(
          "model_unavailable",
          `The detector ${known.id} is not to be answered here (enabled: false), and there is no cloud`,
        )
      );
    case "budget":
      return failure(
        "rate_limited",
        `No local answer, and the month's budget of escalations for the detector ${known.id} is used up`,
      );
  }
}

/** What is kept of a local answer. */
export function localRecord(answer: LocalAnswer | undefined): LocalRecord | undefined {
  if (answer === undefined) return undefined;
  const { finding, confidence, rawConfidence, outOfDomain, probabilities, model } = answer;
  return { finding, confidence, rawConfidence, outOfDomain, probabilities, model };
}
