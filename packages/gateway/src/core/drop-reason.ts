/** Why flow control dropped a request, in the words that Endpoint Pickers use: callers and gateways read them off a header. */
import { failure, type Failure } from "./errors.ts";

/** Response header that carries the reason. */
export const dropReasonHeader = "x-llm-d-request-dropped-reason";

/** Values of the header. `rejected`: before or while it waited; `evicted`: it had its place, or had to make room. */
export type DropReason =
  | "rejected-saturated"
  | "rejected-no-endpoints"
  | "rejected-ttl-expired"
  | "rejected-context-cancelled"
  | "rejected-shutting-down"
  | "evicted"
  | "evicted-queue-pressure"
  | "evicted-priority";

/** The failure with its reason among the headers that go out with the answer. */
export function withDropReason(failure: Failure, reason: DropReason): Failure {
  return { ...failure, headers: [...(failure.headers ?? []), [dropReasonHeader, reason]] };
}

/** What the caller is told whose request was called off for a more urgent one: see `CancelReason`. */
export function evictionFailure(): Failure {
  return withDropReason(failure("evicted", undefined, 5_000), "evicted");
}
