/** Failures in the words of KServe v2 over HTTP: `{"error": text}`. */
import { errorTable, type Failure } from "../../core/errors.ts";
import type { WireAnswer } from "../../core/request.ts";
import { jsonAnswer } from "../json-answer.ts";

/**
 * The error table's status, save for a failed load, which v2 clients know as 400. A model that is
 * not ready is 503 and not Triton's 400: 400 tells a caller that its request is wrong and stops
 * retries, 503 tells it, its load balancer and its readiness probe to try again, and both clients
 * and probes of v2 compare with 200 only.
 */
export function writeKserveFailure(failure: Failure): WireAnswer {
  const status = failure.code === "model_load_failed" ? 400 : errorTable[failure.code].http;
  return jsonAnswer(status, { error: failure.message });
}
