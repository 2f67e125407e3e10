/** Which failed attempts may be made again, and after which pause. */
import type { HttpEndpoint, RetryOptions } from "../../contracts/http-endpoint.ts";
import { errorTable } from "../../core/errors.ts";
import type { ForwardPayload } from "../../core/forward.ts";
import type { Random } from "../../core/random.ts";
import type { AttemptEnd } from "./attempt-end.ts";

/** Longest pause that is waited with a caller on the line, ms; where a server asks for more, the caller is told. */
const longestPauseMs = 5_000;

/**
 * True for a request of which no byte was sent; else only for calls that leave nothing behind, whose
 * server broke off, took too long, sent what cannot be read, or refused for now.
 */
export function mayRepeat(end: AttemptEnd, payload: ForwardPayload): boolean {
  if (!end.sent) return true;
  if (!payload.repeatable) return false;
  if (end.refused !== undefined) return isForNow(end.refused.status);
  return errorTable[end.failure.code].source === "upstream";
}

function isForNow(status: number): boolean {
  return status === 429 || status === 502 || status === 503 || status === 504;
}

/** A pause that was asked for is over a moment later, once the endpoint's own timer has fired, ms. */
const afterAskedMs = 10;

/** What a pause depends on. */
export interface PauseFacts {
  readonly retry: RetryOptions;
  readonly end: AttemptEnd;
  /** Further attempts already made. */
  readonly retries: number;
  readonly next: HttpEndpoint;
  readonly tried: readonly HttpEndpoint[];
  /** On the clock of `pausedUntil`. */
  readonly now: number;
}

/**
 * The pause before the next attempt, ms: none where an endpoint that was not tried takes what none has
 * seen yet, or takes the first further attempt; else a random part of a time that doubles with each
 * attempt. At least as long as the endpoint has asked to be left alone, whoever it said so to. Undefined
 * where it would be too long.
 */
export function pauseBefore(facts: PauseFacts, random: Random): number | undefined {
  const { retry, end, retries, next, tried, now } = facts;
  const isFresh = !tried.includes(next);
  const asked = Math.max(
    next.pausedUntil === undefined ? 0 : next.pausedUntil - now,
    isFresh ? 0 : (end.retryAfterMs ?? 0),
  );
  if (asked > longestPauseMs) return undefined;
  if (asked <= 0 && isFresh && (!end.sent || retries === 0)) return 0;
  const longest = retry.backoffMs * 2 ** Math.max(0, retries - (isFresh ? 1 : 0));
  const jittered = Math.min(longestPauseMs, longest * (0.5 + random.unit() / 2));
  return asked > 0 ? Math.max(jittered, asked + afterAskedMs) : jittered;
}
