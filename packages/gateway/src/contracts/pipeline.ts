/** The seam between everything that asks (doors, edge, jobs) and the core. */
import type { Failure } from "../core/errors.ts";
import type { Caller, InferenceRequest, RequestHead } from "../core/request.ts";
import type { Decision } from "./endpoint.ts";
import type { Exchange, ResponseSink } from "./sink.ts";

export type { Decision, Exchange, ResponseSink };

/** The three steps of a request. The door calls them in this order; ext_proc leaves out the last. */
export interface Pipeline {
  /** Headers only, before a body byte is kept: who calls, and may they. */
  admit(head: RequestHead): Caller | Failure | Promise<Caller | Failure>;
  /** Routing, waiting in line, scheduling. A value where no wait is needed. */
  decide(request: InferenceRequest): Decision | Failure | Promise<Decision | Failure>;
  /**
   * The attempt or attempts. Calls the sink; settles the lease. Every decision must be carried, in
   * the same turn of the event loop: a batch is sent once all its requests have been.
   */
  carry(decision: Decision, sink: ResponseSink): Exchange;
}
