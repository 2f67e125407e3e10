/** What the stages know of a place that answers requests, and of the line in front of it. */
import type { Failure } from "../core/errors.ts";
import type { ServedModel } from "../core/model.ts";
import type { BoundTensors, InferenceRequest } from "../core/request.ts";
import type { Lease } from "./pipeline.ts";
import type { Upstream } from "./upstream.ts";

/**
 * State of an endpoint.
 * - `loading`: no instance has been ready yet; requests wait.
 * - `ready`: at least one instance can take work.
 * - `recovering`: every instance is gone and being replaced; requests wait until their deadline.
 * - `unavailable`: restarts back off; requests are refused with `Retry-After`.
 * - `draining`: a newer version took over; what waits is answered, nothing new is routed here.
 * - `closed`: gone.
 */
export type EndpointState = "loading" | "ready" | "recovering" | "unavailable" | "draining" | "closed";

/** One model version served by workers, or one address. */
export interface Endpoint {
  /** Unique in the process: `pool/model/version`. */
  readonly id: string;
  readonly pool: string;
  readonly state: EndpointState;
  /** Undefined until the first instance has told what it serves. */
  readonly model: ServedModel | undefined;
  readonly upstream: Upstream;
  /** The line in front of this endpoint; what drains it is the endpoint's business. */
  readonly line: Line;
  /** Why nothing can be taken; with `Retry-After` where a time is known. Undefined while requests may wait here. */
  refusal(): Failure | undefined;
}

/** A request in line, with inputs that fit. */
export interface Waiter {
  readonly request: InferenceRequest;
  readonly bound: BoundTensors;
  readonly enqueuedAt: number;
  /** Gives the request its place. Called once by what drains the line. */
  grant(lease: Lease): void;
  /** Answers the request without serving it. */
  refuse(failure: Failure): void;
}

/** How much may be taken at once. */
export interface TakeLimit {
  /** Rows in sum; the first request is taken even when it alone is larger. */
  readonly maxRows: number;
}

/**
 * The one line in front of an endpoint, drained by a single owner. Expired and called-off requests
 * leave it on their own and are never handed out.
 */
export interface Line {
  readonly length: number;
  /** Rows of all waiting requests in sum. */
  readonly rows: number;
  /** Removes the next requests in order, all with one shape key. Empty when nothing waits. */
  take(limit: TakeLimit): Waiter[];
  /** The owner's ear: called synchronously whenever a request joins. */
  onArrival(listener: () => void): void;
  /** Refuses everything that waits. */
  flush(failure: Failure): void;
}
