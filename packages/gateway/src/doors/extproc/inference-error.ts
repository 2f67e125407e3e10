/** How failures are told through Envoy: status, text and reason as the Inference Extension's endpoint picker has them. */
import { errorTable, type ErrorCode, type Failure } from "../../core/errors.ts";
import type { HeaderList } from "../../core/headers.ts";
import { dropReasonHeader, type DropReason } from "../../core/drop-reason.ts";
import type { ImmediateAnswer } from "./write-replies.ts";

/** Statuses that differ from the error table's: a request that found no room was one too many. */
const statuses: Readonly<Partial<Record<ErrorCode, number>>> = {
  queue_full: 429,
  queue_timeout: 429,
  client_gone: 503,
};

/** Why a request was not served, for `x-llm-d-request-dropped-reason`. */
const reasons: Readonly<Partial<Record<ErrorCode, DropReason>>> = {
  saturated: "rejected-saturated",
  wait_expired: "rejected-ttl-expired",
  no_endpoints: "rejected-no-endpoints",
  evicted: "evicted",
  queue_full: "rejected-saturated",
  overloaded: "rejected-saturated",
  queue_timeout: "rejected-ttl-expired",
  model_unavailable: "rejected-no-endpoints",
  upstream_unreachable: "rejected-no-endpoints",
  client_gone: "rejected-context-cancelled",
  draining: "rejected-shutting-down",
};

const words: Readonly<Record<number, string>> = {
  401: "Unauthorized",
  403: "Forbidden",
  404: "NotFound",
  412: "PreconditionFailed",
  429: "ResourceExhausted",
  503: "ServiceUnavailable",
};

/** Longest text for Envoy's access log. */
const maxDetails = 200;

/** The answer to a request that is refused. What the failure itself brings as headers counts. */
export function failureAnswer(reason: Failure, requestId: string): ImmediateAnswer {
  const status = statuses[reason.code] ?? errorTable[reason.code].http;
  const word = words[status] ?? (status < 500 ? "BadRequest" : "Internal");
  // Upstream's endpoint picker tells this one bare.
  const text = reason.code === "evicted" ? reason.message : `inference error: ${word} - ${reason.message}`;
  const headers: (readonly [string, string])[] = [
    ["content-type", "text/plain"],
    ["x-request-id", requestId],
    ...(reason.headers ?? []),
  ];
  const dropped = reasons[reason.code];
  if (dropped !== undefined && !has(headers, dropReasonHeader)) headers.push([dropReasonHeader, dropped]);
  const retryAfter = retryAfterOf(reason, status);
  if (retryAfter !== undefined && !has(headers, "retry-after")) headers.push(["retry-after", retryAfter]);
  const body = [Buffer.from(text)];
  return { status, headers, body, details: `${reason.code}: ${reason.message}`.slice(0, maxDetails) };
}

function has(headers: HeaderList, name: string): boolean {
  return headers.some(([each]) => each === name);
}

/** Whole seconds, at least one. */
function retryAfterOf({ retryAfterMs }: Failure, status: number): string | undefined {
  if (retryAfterMs !== undefined) return String(Math.max(1, Math.ceil(retryAfterMs / 1_000)));
  return status === 429 || status === 503 ? "1" : undefined;
}
