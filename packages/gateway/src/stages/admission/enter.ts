/** What a request is held against once its model and its size are known, before it is routed. */
import { failure, isFailure, type Failure } from "../../core/errors.ts";
import { carriesTensors, type Caller, type InferenceRequest } from "../../core/request.ts";

/**
 * Takes a place and tokens for a request of a limited caller, kept on the request until its door
 * settles them. A failure where the caller has none left, or may not use the model.
 */
export function enter(request: InferenceRequest): Failure | undefined {
  const { caller } = request;
  if (!mayUse(caller, request.model)) return foreignModel(caller, request.model);
  if (caller.meter === undefined) return undefined;
  const entered = caller.meter.enter(carriesTensors(request) ? undefined : request.payload.estimate);
  if (isFailure(entered)) return entered;
  request.reservation = entered;
  return undefined;
}

/** True where the caller is not bound to models, or to this one. */
function mayUse({ models }: Caller, model: string): boolean {
  if (models === undefined) return true;
  return models.some((each) => (each.endsWith("*") ? model.startsWith(each.slice(0, -1)) : each === model));
}

function foreignModel({ id, meter }: Caller, model: string): Failure {
  meter?.forbidden("model");
  return failure("forbidden", `The key ${id} may not use the model ${model.slice(0, 200)}`);
}
