/** What a request is held against once its model and its size are known, before it is routed. */
import { isFailure, type Failure } from "../../core/errors.ts";
import { refuseForeign } from "../../core/may-use.ts";
import { carriesTensors, type InferenceRequest } from "../../core/request.ts";

/**
 * Takes a place and tokens for a request of a limited caller, kept on the request until its door
 * settles them. A failure where the caller has none left, or may not use the model.
 */
export function enter(request: InferenceRequest): Failure | undefined {
  const { caller } = request;
  const foreign = refuseForeign(caller, request.model);
  if (foreign !== undefined) return foreign;
  if (caller.meter === undefined) return undefined;
  const entered = caller.meter.enter(carriesTensors(request) ? undefined : request.payload.estimate);
  if (isFailure(entered)) return entered;
  request.reservation = entered;
  return undefined;
}
