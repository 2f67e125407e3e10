/** The seam between everything that asks (doors, edge, jobs) and the core. */
import type { Failure } from "../core/errors.ts";
import type { ForwardPayload } from "../core/forward.ts";
import type { Caller, InferenceRequest, RequestHead } from "../core/request.ts";
import type { ModelDecision } from "./endpoint.ts";
import type { ForwardDecision } from "./http-endpoint.ts";
import type { Exchange, ResponseSink } from "./sink.ts";

export type { Exchange, ResponseSink };

/** Where a request goes, and the load it holds there. */
export type Decision = ModelDecision | ForwardDecision;

/** The three steps of a request. The door calls them in this order; ext_proc leaves out the last. */
export interface Pipeline {
  /** Headers only, before a body byte is kept: who calls, and may they. */
  admit(head: RequestHead): Caller | Failure | Promise<Caller | Failure>;
  /**
   * Whether nothing on the request's way needs more than its head, so that `decide` may be asked before its body is here:
   * for requests of `Route.fromHead`. Absent: never.
   */
  decidesByHead?(request: InferenceRequest<ForwardPayload>): boolean;
  /** Routing, waiting in line, scheduling. A value where no wait is needed. */
  decide(request: InferenceRequest): Decision | Failure | Promise<Decision | Failure>;
  /**
   * The attempt or attempts. Calls the sink; settles the lease. Every decision must be carried, in
   * the same turn of the event loop: a batch is sent once all its requests have been.
   */
  carry(decision: Decision, sink: ResponseSink): Exchange;
}
