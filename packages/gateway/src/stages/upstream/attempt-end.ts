/** How an attempt ended, and what the caller is told of it. */
import type { AttemptResult } from "../../contracts/http-endpoint.ts";
import type { ServerError } from "../../contracts/connection.ts";
import { errorTable, failure, type ErrorCode, type Failure } from "../../core/errors.ts";
import type { RefusedAnswer } from "../../core/forward.ts";
import { headerValue } from "../../core/headers.ts";
import { isCallersMistake } from "../../dialects/ollama/callers-mistake.ts";
import { readRetryAfter } from "../../core/retry-after.ts";

/** The end of an attempt that gave no whole good answer. */
export interface AttemptEnd {
  readonly kind: AttemptResult["kind"];
  /** For the caller where nothing else can be said. */
  readonly failure: Failure;
  /** False when it is certain that no byte of the request was sent. */
  readonly sent: boolean;
  /** Undefined unless the server answered in full with a status that is no 2xx. */
  readonly refused: RefusedAnswer | undefined;
  readonly retryAfterMs: number | undefined;
  /** As `AttemptResult.isCallersMistake`. */
  readonly isCallersMistake?: boolean;
}

/** The gateway could not make a connection, which is no server's fault: none is judged by it. */
const endOfShortage: AttemptEnd = {
  kind: "cancelled",
  failure: failure("overloaded", "Spillway has as many connections open as it may have", 1_000),
  sent: false,
  refused: undefined,
  retryAfterMs: undefined,
};

/** The connection failed. */
export function endOfError(error: ServerError): AttemptEnd {
  if (error.isOurs === true) return endOfShortage;
  return {
    kind: error.kind,
    failure: errorFailure(error.kind),
    sent: error.sent,
    refused: undefined,
    retryAfterMs: undefined,
  };
}

function errorFailure(kind: ServerError["kind"]): Failure {
  switch (kind) {
    case "connect":
      return failure("upstream_unreachable", undefined, 1_000);
    case "closed":
      return failure(
        "bad_upstream_answer",
        "The model server closed the connection before its answer was complete",
      );
    case "malformed":
      return failure("bad_upstream_answer", "The model server sent what is not HTTP");
  }
}

/** The server took too long. */
export function endOfTimeout(what: string, timeoutMs: number): AttemptEnd {
  const reason = failure("upstream_timeout", `The model server sent no ${what} within ${timeoutMs} ms`);
  return { kind: "timeout", failure: reason, sent: true, refused: undefined, retryAfterMs: undefined };
}

/** What the reader could not make sense of, or the gateway itself could not translate: then the server has done its part. */
export function endOfReader(reason: Failure): AttemptEnd {
  const kind = errorTable[reason.code].source === "gateway" ? "cancelled" : "malformed";
  return { kind, failure: reason, sent: true, refused: undefined, retryAfterMs: undefined };
}

/** The server refused. `wallNow` is the time of day for a `Retry-After` that is a date. */
export function endOfRefusal(refused: RefusedAnswer, wallNow: number): AttemptEnd {
  const { status } = refused;
  const retryAfterMs = readRetryAfter(headerValue(refused.headers, "retry-after"), wallNow);
  const isMistake = isCallersMistake(status, refused.body);
  const code = isMistake ? "bad_request" : refusalCode(status);
  const reason = failure(code, `The model server answered with status ${status}`, retryAfterMs);
  return { kind: "refused", failure: reason, sent: true, refused, retryAfterMs, isCallersMistake: isMistake };
}

/** The outcome that a status counts as. */
function refusalCode(status: number): ErrorCode {
  if (status === 401 || status === 403 || status < 400) return "bad_upstream_answer";
  if (status === 404) return "model_not_found";
  if (status === 429 || status === 503) return "model_unavailable";
  if (status < 500) return "bad_request";
  if (status === 502) return "bad_upstream_answer";
  return status === 504 ? "upstream_timeout" : "model_failed";
}
