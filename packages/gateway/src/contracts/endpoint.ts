/** What the stages know of a place that answers requests. */
import type { Failure } from "../core/errors.ts";
import type { ServedModel } from "../core/model.ts";
import type { InferenceRequest, TensorPayload } from "../core/request.ts";
import type { Lease } from "./lease.ts";
import type { Line } from "./line.ts";
import type { Exchange, ResponseSink } from "./sink.ts";

/** A place that answers requests: one model version served by workers, or one HTTP server. */
export interface Endpoint {
  /** For people, logs and metrics: `pool/model/version`, or `pool/host:port`. */
  readonly id: string;
  readonly pool: string;
}

/**
 * State of a model endpoint. It exists from the moment its first instance was ready.
 * - `ready`: at least one instance can take work.
 * - `recovering`: every instance is gone and being replaced; requests wait until their deadline.
 * - `unavailable`: restarts back off; requests are refused with `Retry-After`.
 * - `draining`: a newer version took over; what waits is answered, nothing new is routed here.
 * - `closed`: gone.
 */
export type ModelEndpointState = "ready" | "recovering" | "unavailable" | "draining" | "closed";

/** One model version served by workers or by servers that speak gRPC. */
export interface ModelEndpoint extends Endpoint {
  readonly state: ModelEndpointState;
  readonly model: ServedModel;
  readonly upstream: Upstream<ModelDecision>;
  /** The line in front of this endpoint; what drains it is the endpoint's business. */
  readonly line: Line;
  /** Why nothing can be taken; with `Retry-After` where a time is known. Undefined while requests may wait here. */
  refusal(): Failure | undefined;
}

/** Where a request for a model's workers goes, and the load it holds there. */
export interface ModelDecision {
  readonly kind: "model";
  readonly request: InferenceRequest<TensorPayload>;
  readonly endpoints: readonly [ModelEndpoint, ...ModelEndpoint[]];
  readonly lease: Lease;
}

/** Carries a decided request to a server and its answer back. Escalation has the same shape and wraps one. */
export interface Upstream<D> {
  carry(decision: D, sink: ResponseSink): Exchange;
}
