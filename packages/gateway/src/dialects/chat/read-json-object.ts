/** Bodies of callers that are to be one JSON object. */
import { failure, isFailure, type Failure } from "../../core/errors.ts";
import { parseJson } from "../json/parse-json.ts";
import { defaultJsonLimits } from "../json/scan-json.ts";
import { isJsonObject, type JsonObject } from "./json-object.ts";

/** The object, wrapped, since a caller's object may look like a failure. */
export function readJsonObject(bytes: Uint8Array): { readonly object: JsonObject } | Failure {
  const parsed = parseJson(bytes, defaultJsonLimits, 0);
  if (isFailure(parsed)) return parsed;
  if (isJsonObject(parsed.value)) return { object: parsed.value };
  return failure("bad_request", "The body is not a JSON object");
}
