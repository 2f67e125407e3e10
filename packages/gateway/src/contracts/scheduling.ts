/** The scheduling stage: which endpoint of a pool takes a request. */
import type { Failure } from "../core/errors.ts";
import type { ForwardPayload } from "../core/forward.ts";
import type { InferenceRequest } from "../core/request.ts";
import type { ForwardDecision, ForwardRoute, HttpEndpoint } from "./http-endpoint.ts";

/** Chooses endpoints and drains the pools' lines as endpoints get room. */
export interface Scheduling {
  /** A decision where an endpoint has room and nobody waits, else undefined; a failure where waiting would be in vain. */
  decide(
    route: ForwardRoute,
    request: InferenceRequest<ForwardPayload>,
  ): ForwardDecision | Failure | undefined;
  /** Puts the request in the pool's line. `done` is called exactly once, perhaps at once. */
  wait(
    route: ForwardRoute,
    request: InferenceRequest<ForwardPayload>,
    done: (result: ForwardDecision | Failure) => void,
  ): void;
  /**
   * An endpoint for a further attempt, without waiting in line: one that is none of `tried`, with room where
   * there is such, since a request that was accepted is not to be lost; where all were tried, the one of
   * them that has least to do. A server on trial gets no second request as long as there is another. Where
   * none can be asked now, the one whose pause (`pausedUntil`) ends first. Undefined where nothing is known
   * of when one can be. Endpoints that the decision names as fallbacks go first, then the pool's profiles choose again.
   */
  another(
    route: ForwardRoute,
    tried: readonly HttpEndpoint[],
    decision: ForwardDecision,
  ): HttpEndpoint | undefined;
}
