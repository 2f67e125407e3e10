/** Anthropic's errors: types by status (https://docs.claude.com/en/api/errors). */
import { wireAnswer } from "../../contracts/route.ts";
import { errorTable, type Failure } from "../../core/errors.ts";
import type { WireAnswer } from "../../core/request.ts";
import { isJsonObject, type JsonObject } from "../chat/json-object.ts";
import { asBuffer } from "../json/parse-json.ts";

const types: Readonly<Record<number, string>> = {
  400: "invalid_request_error",
  401: "authentication_error",
  402: "billing_error",
  403: "permission_error",
  404: "not_found_error",
  408: "timeout_error",
  413: "request_too_large",
  429: "rate_limit_error",
  503: "overloaded_error",
  504: "timeout_error",
  529: "overloaded_error",
};

/** Anthropic's own status for "too much to do", where the rest of the world says 503. */
const overloaded = 529;

/** The error's type for a status. */
function errorType(status: number): string {
  return types[status] ?? (status >= 500 ? "api_error" : "invalid_request_error");
}

/** A refusal in Anthropic's words. */
export function writeAnthropicRefusal(status: number, message: string): WireAnswer {
  return refusal(status, message, undefined);
}

/** A failure in Anthropic's words, with the id under which the gateway logged it. */
export function writeAnthropicFailure({ code, message }: Failure, requestId: string): WireAnswer {
  return refusal(errorTable[code].http, message, requestId);
}

function refusal(status: number, message: string, requestId: string | undefined): WireAnswer {
  const value = {
    type: "error",
    error: { type: errorType(status), message },
    ...(requestId === undefined ? {} : { request_id: requestId }),
  };
  const body = Buffer.from(`${JSON.stringify(value)}\n`);
  const headers = requestId === undefined ? [] : [["request-id", requestId] as const];
  return wireAnswer(status === 503 ? overloaded : status, "application/json", [body], headers);
}

/** The event that tells of a failure inside a stream. */
export function writeErrorEvent({ code, message }: Failure): Uint8Array {
  return event("error", { type: "error", error: { type: errorType(errorTable[code].http), message } });
}

/** One server-sent event. */
export function event(name: string, value: JsonObject): Uint8Array {
  return Buffer.from(`event: ${name}\ndata: ${JSON.stringify(value)}\n\n`);
}

/** The text of an answer that is an error; undefined for other bodies. */
export function readErrorText(body: Uint8Array): string | undefined {
  try {
    const value: unknown = JSON.parse(asBuffer(body).toString("utf8"));
    return isJsonObject(value) ? errorTextOf(value) : undefined;
  } catch {
    return undefined;
  }
}

/** The text of an error object or event. */
export function errorTextOf({ error }: JsonObject): string | undefined {
  const text = isJsonObject(error) ? error["message"] : error;
  return typeof text === "string" ? text : undefined;
}
