/** Failures in Groundlight's words: `{"detail": text}`. */
import { errorTable, type Failure } from "../../core/errors.ts";
import type { WireAnswer } from "../../core/wire-answer.ts";
import { jsonAnswer } from "../json-answer.ts";

/** The error table's status, save for a failed load: clients and proxies send what is answered 404, 405 and 422 to the cloud. */
export function writeGroundlightFailure(failure: Failure): WireAnswer {
  const status = failure.code === "model_load_failed" ? 503 : errorTable[failure.code].http;
  return jsonAnswer(status, { detail: failure.message });
}

/** What an error body of the cloud says: `detail`, or the fields at fault; undefined where it is no JSON object or says nothing. */
export function readGroundlightError(json: unknown): string | undefined {
  if (typeof json !== "object" || json === null || Array.isArray(json)) return undefined;
  const { detail } = json as { readonly detail?: unknown };
  if (typeof detail === "string") return detail;
  const text = JSON.stringify(detail ?? json);
  return text === "{}" ? undefined : text;
}
