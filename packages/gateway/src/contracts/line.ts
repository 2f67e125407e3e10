/** The line in front of an endpoint, seen from both ends. */
import type { Failure } from "../core/errors.ts";
import type { BoundTensors, InferenceRequest, Payload, TensorPayload } from "../core/request.ts";
import type { Lease } from "./lease.ts";

/**
 * What a request weighs in line: tensors bound to a model, or one row of its own. Bytes count 0 where they are absent. The
 * shape key of a request for a pool is its model, and behind a NUL what else it has in common with others.
 */
export type LineCost = Pick<BoundTensors, "rows" | "shapeKey"> &
  Partial<Pick<BoundTensors, "bytes">> & {
    /** The model's name at the pool's servers, where the shape key may say more. */
    readonly model?: string;
  };

/** A request with inputs that fit, on its way into a line. */
export interface LineEntry<P extends Payload = TensorPayload, B extends LineCost = BoundTensors> {
  readonly request: InferenceRequest<P>;
  readonly bound: B;
  /** Called exactly once, perhaps before `join` returns. */
  readonly done: (result: Lease | Failure) => void;
}

/** A request in line. */
export interface Waiter<P extends Payload = TensorPayload, B extends LineCost = BoundTensors> {
  readonly request: InferenceRequest<P>;
  readonly bound: B;
  readonly enqueuedAt: number;
  /** Tokens that its flow was charged for it; 0 where nothing predicts. */
  readonly predictedTokens: number;
  /** Gives the request its place. Called once by what drains the line. */
  grant(lease: Lease): void;
  /** Answers the request without serving it. */
  refuse(failure: Failure): void;
}

/** How much may be taken at once. */
export interface TakeLimit<P extends Payload = TensorPayload, B extends LineCost = BoundTensors> {
  /** Rows in sum; the first request is taken even when it alone is larger. */
  readonly maxRows: number;
  /** Bytes in sum; the first request is taken even when it alone is larger. Unlimited by default. */
  readonly maxBytes?: number;
  /**
   * Requests whose shape key it refuses keep their place and are passed over. Asked at most once a call for each shape
   * key and priority that wait. Without it everything fits.
   */
  readonly fits?: (shapeKey: string, priority: number) => boolean;
  /**
   * Where a flow's requests go first come first served, the first of the next few that this says yes to goes before its
   * elders, each of which is overtaken a bounded number of times. Asked for requests that fit, in their order, up to the first
   * yes. Without it, and where it says no to all of them, the first goes.
   */
  readonly suits?: (waiter: Waiter<P, B>) => boolean;
}

/**
 * The one line in front of an endpoint, drained by a single owner. Expired and called-off requests
 * leave it on their own and are never handed out.
 */
export interface Line<P extends Payload = TensorPayload, B extends LineCost = BoundTensors> {
  readonly length: number;
  /** Rows of all waiting requests in sum. */
  readonly rows: number;
  /** Bytes of all waiting requests in sum. */
  readonly bytes: number;
  /** When the first in line joined, ms on the pipeline's clock; undefined when nothing waits. */
  readonly oldestAt: number | undefined;
  /** Calls back with how many requests of a shape key wait; more than once for a key that several priorities have. */
  eachShape?(visit: (shapeKey: string, waiting: number) => void): void;
  /** Puts a request in line, or refuses it at once: line full, deadline passed, already called off. */
  join(entry: LineEntry<P, B>): void;
  /** Removes the next requests in order, all with one shape key. Empty when nothing waits. */
  take(limit: TakeLimit<P, B>): Waiter<P, B>[];
  /** The owner's ear: called synchronously whenever a request joins. One listener. */
  onArrival(listener: () => void): void;
  /** Refuses everything that waits. */
  flush(failure: Failure): void;
}

/** Makes the line of a new endpoint. `onRefused` hears of every request that leaves it unserved. */
export type LineFactory = (onRefused: (failure: Failure) => void) => Line;
