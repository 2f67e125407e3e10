/** Carries a decided request to a server and its answer back. Escalation has the same shape and wraps one. */
import type { Decision, Exchange, ResponseSink } from "./pipeline.ts";

/** Push, not pull: the answer arrives as calls on the sink. */
export interface Upstream {
  carry(decision: Decision, sink: ResponseSink): Exchange;
}
