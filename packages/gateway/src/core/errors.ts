/**
 * The one table of failures: what each is called, which HTTP and gRPC status it has, whether the
 * caller may repeat the request, and who caused it. Dialects turn a `Failure` into their own error
 * body; nothing else maps errors to the wire.
 */

import type { HeaderList } from "./headers.ts";

/** Who caused a failure: the caller, Spillway itself, or a server or model process behind it. */
export type FailureSource = "client" | "gateway" | "upstream";

interface ErrorEntry {
  readonly http: number;
  /** Canonical gRPC status code (https://grpc.io/docs/guides/status-codes/). */
  readonly grpc: number;
  /** True where sending the same request again later may succeed. */
  readonly retryable: boolean;
  readonly source: FailureSource;
  readonly text: string;
}

function entry(
  http: number,
  grpc: number,
  source: FailureSource,
  text: string,
  retry?: "retryable",
): ErrorEntry {
  return { http, grpc, retryable: retry !== undefined, source, text };
}

/** Every failure Spillway can answer with. */
export const errorTable = {
  bad_request: entry(400, 3, "client", "The request is not valid"),
  invalid_json: entry(400, 3, "client", "The body is not valid JSON"),
  invalid_tensor: entry(400, 3, "client", "A tensor does not fit the model"),
  invalid_image: entry(400, 3, "client", "The picture cannot be read"),
  unauthorized: entry(401, 16, "client", "Credentials are missing or wrong"),
  forbidden: entry(403, 7, "client", "The caller may not do this"),
  denied: entry(403, 7, "client", "A rule of this gateway denies the request"),
  not_found: entry(404, 5, "client", "Nothing is served at this address"),
  model_not_found: entry(404, 5, "client", "No such model"),
  version_not_found: entry(404, 5, "client", "No such version of the model"),
  method_not_allowed: entry(405, 12, "client", "The address does not take this method"),
  request_timeout: entry(408, 4, "client", "The request did not arrive in time"),
  body_too_large: entry(413, 8, "client", "The request is too large"),
  rate_limited: entry(429, 8, "client", "The key has used up one of its limits", "retryable"),
  saturated: entry(
    429,
    8,
    "gateway",
    "The servers are full, and no more requests may wait for them",
    "retryable",
  ),
  wait_expired: entry(429, 8, "gateway", "Request timed out in queue", "retryable"),
  evicted: entry(429, 8, "gateway", "request evicted by flow control", "retryable"),
  unsupported_media_type: entry(415, 3, "client", "The content type or encoding is not supported"),
  model_load_failed: entry(422, 9, "client", "The model could not be loaded"),
  client_gone: entry(499, 1, "client", "The caller went away before the answer"),
  internal: entry(500, 13, "gateway", "Spillway failed"),
  model_failed: entry(500, 13, "upstream", "The model failed on this request"),
  model_crashed: entry(
    500,
    13,
    "upstream",
    "The model's process died on this request twice; it is not tried again",
  ),
  unimplemented: entry(501, 12, "client", "This call is not offered"),
  bad_upstream_answer: entry(
    502,
    13,
    "upstream",
    "The model server sent an answer that cannot be read",
    "retryable",
  ),
  upstream_timeout: entry(504, 4, "upstream", "The model server took too long", "retryable"),
  upstream_unreachable: entry(503, 14, "upstream", "The model server cannot be reached", "retryable"),
  model_unavailable: entry(503, 14, "upstream", "The model has no running instance", "retryable"),
  no_endpoints: entry(503, 14, "gateway", "No endpoints available", "retryable"),
  queue_full: entry(503, 14, "gateway", "Exceeds maximum queue size", "retryable"),
  queue_timeout: entry(503, 14, "gateway", "Request timeout expired", "retryable"),
  overloaded: entry(503, 14, "gateway", "Too many request bytes are held at once", "retryable"),
  storage_unavailable: entry(503, 14, "gateway", "The data directory cannot be written or read", "retryable"),
  rule_failed: entry(
    503,
    14,
    "gateway",
    "A rule that the request has to pass could not be asked",
    "retryable",
  ),
  draining: entry(503, 14, "gateway", "Spillway is shutting down", "retryable"),
} as const satisfies Record<string, ErrorEntry>;

/** The name of a failure: stable, used in answers, logs and metric labels. */
export type ErrorCode = keyof typeof errorTable;

/**
 * A failure as a value. Expected refusals (limits, full line, bad input) are passed as values,
 * since under overload they are the common case and an exception costs a stack trace.
 */
export interface Failure {
  readonly code: ErrorCode;
  /** For the caller: what is wrong and what was expected. */
  readonly message: string;
  /** Shown as `Retry-After`, rounded up to whole seconds. */
  readonly retryAfterMs?: number;
  /** The field of the request that is at fault, for dialects whose errors name one. */
  readonly field?: string;
  /** Sent with the answer: as HTTP headers, or as metadata over gRPC. */
  readonly headers?: HeaderList;
}

/** A `Failure` that had to be thrown. `cause` is for logs and never sent to a caller. */
export class GatewayError extends Error implements Failure {
  readonly code: ErrorCode;
  readonly retryAfterMs?: number;

  constructor(code: ErrorCode, message?: string, options: { cause?: unknown; retryAfterMs?: number } = {}) {
    super(
      message ?? errorTable[code].text,
      options.cause === undefined ? undefined : { cause: options.cause },
    );
    this.name = "GatewayError";
    this.code = code;
    if (options.retryAfterMs !== undefined) this.retryAfterMs = options.retryAfterMs;
  }
}

/** A failure without a stack trace. `message` defaults to the table's text. */
export function failure(code: ErrorCode, message?: string, retryAfterMs?: number): Failure {
  const text = message ?? errorTable[code].text;
  return retryAfterMs === undefined ? { code, message: text } : { code, message: text, retryAfterMs };
}

/** The single conversion for `catch`: anything that is not a `GatewayError` becomes `internal` and keeps its text for the log only. */
export function toFailure(error: unknown): GatewayError {
  if (error instanceof GatewayError) return error;
  return new GatewayError("internal", undefined, { cause: error });
}

/** Tells a failure from a good value of any other object type. */
export function isFailure(value: object): value is Failure {
  // Read, not asked for with `in`: of objects of many shapes that costs several times as much.
  const { code } = value as { readonly code?: unknown };
  return typeof code === "string" && code in errorTable;
}
