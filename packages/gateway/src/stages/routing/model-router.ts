/** Routing: from the model a request names to the endpoint that serves it. */
import type { ModelEndpoint } from "../../contracts/endpoint.ts";
import type { Failure } from "../../core/errors.ts";
import type { InferenceRequest } from "../../core/request.ts";

/** A place where endpoints are found by model: the local repository, a pool. */
export interface EndpointSource {
  /** The endpoint for a model, or a failure that says what exists; undefined when the source does not know the model. */
  endpointFor(model: string, version: string | undefined): ModelEndpoint | Failure | undefined;
}

/** Finds where a request may go. */
export type Router = (request: InferenceRequest) => ModelEndpoint | Failure;

/**
 * Asks the sources in their order; the first that knows the model decides. So a model in the local
 * repository hides one of the same name in a pool, and pools rank by their order in the configuration.
 */
export function createModelRouter(
  sources: readonly EndpointSource[],
  unknown: (request: InferenceRequest) => Failure,
): Router {
  return (request) => {
    for (const source of sources) {
      const found = source.endpointFor(request.model, request.version);
      if (found !== undefined) return found;
    }
    return unknown(request);
  };
}
