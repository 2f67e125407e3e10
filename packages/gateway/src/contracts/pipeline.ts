/** The seam between everything that asks (doors, edge, jobs) and the core. */
import type { CancelReason } from "../core/cancellation.ts";
import type { Failure } from "../core/errors.ts";
import type { HeaderList } from "../core/headers.ts";
import type { Outcome } from "../core/outcome.ts";
import type { Caller, InferenceRequest, RequestHead, WireAnswer } from "../core/request.ts";
import type { Endpoint } from "./endpoint.ts";

/** The three steps of a request. The door calls them in this order; ext_proc leaves out the last. */
export interface Pipeline {
  /** Headers only, before a body byte is kept: who calls, and may they. */
  admit(head: RequestHead): Caller | Failure | Promise<Caller | Failure>;
  /** Routing, waiting in line, scheduling. A value where no wait is needed. */
  decide(request: InferenceRequest): Decision | Failure | Promise<Decision | Failure>;
  /** The attempt or attempts. Calls the sink; settles the lease. */
  carry(decision: Decision, sink: ResponseSink): Exchange;
}

/** The door's side of an answer. Called synchronously; nothing is called after `whole`, `end` or `fail`. */
export interface ResponseSink {
  /** An answer that is complete: `head`, all `data` and `end` in one. */
  whole(answer: WireAnswer): void;
  head(status: number, headers: HeaderList): void;
  /** False: no more until `Exchange.resume`. */
  data(chunk: Uint8Array): boolean;
  end(): void;
  /** Before `head`: the dialect's error body. After it: the dialect's error event, or an aborted connection. */
  fail(failure: Failure): void;
}

/** A running answer. */
export interface Exchange {
  resume(): void;
  cancel(reason: CancelReason): void;
}

/** Where a request goes, and the load it holds there. */
export interface Decision {
  readonly request: InferenceRequest;
  readonly endpoints: readonly [Endpoint, ...Endpoint[]];
  readonly lease: Lease;
}

/** Load held at an endpoint. `settle` releases it; only the first call counts. */
export interface Lease {
  /** When the request entered the line and left it, ms on the pipeline's clock. */
  readonly enqueuedAt: number;
  readonly grantedAt: number;
  settle(outcome: Outcome): void;
}
