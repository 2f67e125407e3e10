/** `/admin/edge/models`: what is fetched, served, kept for a rollback and found bad, for operators. */
import type { Inspect } from "../../contracts/inspect.ts";
import { writePlainFailure } from "../../contracts/plain-failure.ts";
import type { Route } from "../../contracts/route.ts";
import { failure } from "../../core/errors.ts";
import { jsonAnswer } from "../../dialects/json-answer.ts";

/** What the route needs. */
export interface ModelRouteDeps {
  /** Undefined: no models are fetched. */
  readonly updater: Inspect | undefined;
}

/** `GET` tells of the first detectors and how many are not told of. */
export function createModelRoutes({ updater }: ModelRouteDeps): Route[] {
  return [
    {
      method: "GET",
      path: "/admin/edge/models",
      scope: "admin",
      body: "none",
      writeFailure: writePlainFailure,
      handle: () =>
        updater === undefined
          ? failure(
              "not_found",
              "No models are fetched here: there is no cloud and no index (edge.models.index)",
            )
          : jsonAnswer(200, updater.inspect()),
    },
  ];
}
