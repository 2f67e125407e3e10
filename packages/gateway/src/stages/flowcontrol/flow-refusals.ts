/** What flow control tells callers whom it turns away: code, reason, place in line, when to come again. */
import { withDropReason, type DropReason } from "../../core/drop-reason.ts";
import { failure, type ErrorCode, type Failure } from "../../core/errors.ts";
import type { LeaveCause, Standing } from "./line-rules.ts";

/** Header with the place that a refused request had in line, or would have had: 1 is the first. */
export const queuePositionHeader = "x-spillway-queue-position";

/** Shortest and longest time after which a caller is asked to come again, ms. */
const retryRange = { shortest: 1_000, longest: 300_000 };

/** Where nothing is known of how fast the line moves, ms. */
const usualRetryMs = 5_000;

interface Told {
  readonly code: ErrorCode;
  readonly reason: DropReason;
  readonly text: string;
}

const told: Readonly<Record<LeaveCause, Told>> = {
  full: {
    code: "saturated",
    reason: "rejected-saturated",
    text: "The servers are full, and as many requests wait for them as may",
  },
  "band-full": {
    code: "saturated",
    reason: "rejected-saturated",
    text: "The servers are full, and as many requests of this priority wait for them as may",
  },
  expired: {
    code: "wait_expired",
    reason: "rejected-ttl-expired",
    text: "request timed out in queue: it waited as long as it may",
  },
  "no-endpoints": {
    code: "no_endpoints",
    reason: "rejected-no-endpoints",
    text: "no endpoints available: the pool has no server, and none came",
  },
  cancelled: {
    code: "client_gone",
    reason: "rejected-context-cancelled",
    text: "client disconnected: it left while its request waited",
  },
  displaced: {
    code: "evicted",
    reason: "evicted-priority",
    text: "request evicted by flow control: it made room in line for one of a higher priority",
  },
};

const noEndpoints: Told = {
  ...told["no-endpoints"],
  text: "no endpoints available: the pool has no server, and as many requests wait for one as may",
};

/** `isEmpty`: the pool has no endpoint. */
export function flowRefusal(cause: LeaveCause, { position, waitMs }: Standing, isEmpty: boolean): Failure {
  const isFull = cause === "full" || cause === "band-full";
  const { code, reason, text } = isEmpty && isFull ? noEndpoints : told[cause];
  const refused = withDropReason(failure(code, text, retryAfterMs(waitMs)), reason);
  if (cause === "cancelled") return refused;
  const headers = [...(refused.headers ?? []), [queuePositionHeader, String(position)] as const];
  return { ...refused, headers };
}

/** A sheddable request that finds the servers full where nobody waits for that to pass. */
export function sheddingRefusal(): Failure {
  const text = "system saturated, sheddable request dropped";
  return withDropReason(failure("saturated", text, usualRetryMs), "rejected-saturated");
}

/** The line is closed. */
export function closingRefusal(reason: Failure): Failure {
  return reason.code === "draining" ? withDropReason(reason, "rejected-shutting-down") : reason;
}

function retryAfterMs(waitMs: number = usualRetryMs): number {
  return Math.min(retryRange.longest, Math.max(retryRange.shortest, waitMs));
}
