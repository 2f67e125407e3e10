/** Makes the pipeline's request from a call of either door. */
import type { HeadCall, HttpCall, RpcCall } from "../contracts/route.ts";
import type { Payload, RequestWith } from "../core/request.ts";

/** What a dialect read about a request. */
export interface RequestParts<P extends Payload> {
  readonly model: string;
  readonly version: string | undefined;
  readonly payload: P;
  /** How long the request may take; the shortest of what the server allows and the caller asks. */
  readonly timeoutMs: number;
  /** Larger goes first; default 0. */
  readonly priority?: number;
}

/** The request, with its deadline counted from its arrival. */
export function createRequest<P extends Payload>(
  call: HttpCall | HeadCall | RpcCall,
  parts: RequestParts<P>,
): RequestWith<P> {
  return {
    id: call.requestId,
    model: parts.model,
    version: parts.version,
    caller: call.caller,
    receivedAt: call.receivedAt,
    deadline: call.receivedAt + parts.timeoutMs,
    priority: parts.priority ?? 0,
    payload: parts.payload,
    headers: "headers" in call ? call.headers : call.metadata,
    cancellation: call.cancellation,
  };
}
