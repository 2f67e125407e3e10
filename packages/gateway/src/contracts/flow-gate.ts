/** Between flow control and scheduling: may a pool take more work of a priority now? */
import type { Failure } from "../core/errors.ts";
import type { ForwardPayload, TokenUsage } from "../core/forward.ts";
import type { InferenceRequest } from "../core/request.ts";
import type { SchedulableEndpoint } from "./plugins/scheduling.ts";

/** Asked by scheduling before a place is given; absent on pools without flow control. */
export interface FlowGate {
  /**
   * Asked once for each request, before anything else: why it may not even wait, such as a sheddable one while the
   * servers are full. Undefined: it may.
   */
  refuse(model: string, request: InferenceRequest<ForwardPayload>): Failure | undefined;
  /**
   * True: while there is no endpoint for the model the request waits in line for one to come, as long as the line
   * lets it. False: the pool's own refusal counts.
   */
  readonly waitsForEndpoints: boolean;
  /** False: requests of this priority wait, even while an endpoint has room. */
  mayDispatch(model: string, priority: number): boolean;
  /**
   * How full one server is by the configured saturation signal: 0 idle, 1 full. Undefined: its metrics are too old to say; flow
   * control holds it where it was, which does not mean that it is full. Absent: nothing is configured.
   */
  fullnessOf?(endpoint: SchedulableEndpoint): number | undefined;
  /** The request has its place. */
  granted(grant: FlowGrant): FlowHold;
  /** Something has changed that the gate cannot see: a page of metrics, endpoints that came or went. */
  changed(): void;
  /** Calls back when `mayDispatch` may have become true: metrics have come in, work has ended, time has passed. One listener. */
  onOpening(listener: () => void): void;
}

/** A request that gets its place. */
export interface FlowGrant {
  /** The model's name in the pool. */
  readonly model: string;
  readonly request: InferenceRequest<ForwardPayload>;
  readonly endpoint: SchedulableEndpoint;
  /** `Waiter.predictedTokens`, where it waited in line; undefined: it did not wait. */
  readonly charged: number | undefined;
}

/** A request under way, as flow control counts it. */
export interface FlowHold {
  /** Its lease was settled. `usage`: what is known of what it used. Only the first call counts. */
  ended(usage: TokenUsage | undefined): void;
}
