/** From what a call met to a `CloudFailure`. */
import type { NoAnswer, ServerAnswer } from "../../contracts/ask-server.ts";
import type { CloudFailure } from "../../contracts/cloud.ts";
import { headerValue } from "../../core/headers.ts";
import { readRetryAfter } from "../../core/retry-after.ts";
import { readGroundlightError } from "../../dialects/groundlight/write-failure.ts";

const maxDetail = 1_000;

/** A failure of a kind, its detail cut to 1,000 characters. */
export function cloudFailure(
  kind: CloudFailure["kind"],
  detail: string,
  status?: number,
  retryAfterMs?: number,
): CloudFailure {
  return { failed: true, kind, status, detail: detail.slice(0, maxDetail), retryAfterMs };
}

/** The call ended without an answer. */
export function failureOfSilence({ kind, message }: NoAnswer): CloudFailure {
  switch (kind) {
    case "connect":
      return cloudFailure("unreachable", `The cloud cannot be reached: ${message}`);
    case "closed":
      return cloudFailure("unreachable", `The connection to the cloud broke: ${message}`);
    case "timeout":
      return cloudFailure("timeout", `The cloud gave ${message}`);
    case "cancelled":
      return cloudFailure("timeout", `The call to the cloud was called off: ${message}`);
    case "malformed":
      return cloudFailure("unreadable", `The cloud sent what cannot be read: ${message}`);
  }
}

/** The answer's status is no 2xx. */
export function failureOfStatus(answer: ServerAnswer, wallNow: number): CloudFailure {
  const { status, headers } = answer;
  const retryAfterMs = readRetryAfter(headerValue(headers, "retry-after"), wallNow);
  return cloudFailure(kindOfStatus(status), describeAnswer(answer), status, retryAfterMs);
}

function kindOfStatus(status: number): CloudFailure["kind"] {
  if (status === 429) return "throttled";
  if (status === 401 || status === 403) return "unauthorized";
  if (status === 408) return "timeout";
  return status >= 500 ? "unavailable" : "refused";
}

/** What the cloud said, or the beginning of what somebody else said in its place. */
export function describeAnswer({ status, headers, body }: ServerAnswer): string {
  const text = body.toString("utf8", 0, 8_192);
  const said = readGroundlightError(parse(text));
  if (said !== undefined) return `The cloud answered ${status}: ${said}`;
  const type = headerValue(headers, "content-type") ?? "no content type";
  const words = text
    .replaceAll(/<(?:style|script)[\s\S]*?<\/(?:style|script)>|<[^>]*>/g, " ")
    .replaceAll(/\s+/g, " ")
    .trim();
  return `The cloud answered ${status} with ${type}${words === "" ? "" : `: ${words.slice(0, 200)}`}`;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
