/** Between flow control and scheduling: may a pool take more work of a priority now? */
import type { Failure } from "../core/errors.ts";
import type { ForwardPayload } from "../core/forward.ts";
import type { InferenceRequest } from "../core/request.ts";
import type { SchedulableEndpoint } from "./plugins/scheduling.ts";

/** Asked by scheduling before a place is given; absent on pools without flow control. */
export interface FlowGate {
  /** False: requests of this priority wait, even while an endpoint has room. */
  mayDispatch(model: string, priority: number): boolean;
  /** Why the request may not even wait: a sheddable one while the pool is full. Undefined: it may. */
  refuse(model: string, request: InferenceRequest<ForwardPayload>): Failure | undefined;
  /** The request has its place. Exactly one `ended` follows. */
  granted(request: InferenceRequest<ForwardPayload>, endpoint: SchedulableEndpoint): void;
  ended(request: InferenceRequest<ForwardPayload>): void;
  /** Calls back when `mayDispatch` may have become true: metrics have come in, work has ended. One listener. */
  onOpening(listener: () => void): void;
}
