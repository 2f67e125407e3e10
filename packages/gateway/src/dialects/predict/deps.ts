/** What `/predict` is built from. */
import type { PredictOptions } from "../../contracts/options.ts";
import type { Clock } from "../../core/clock.ts";
import type { JsonThreads } from "../json/json-threads.ts";

/** Dependencies of the prediction routes and methods. */
export interface PredictDeps {
  /** The pipeline's clock: `latency_ms` is counted on it from the arrival of the request. */
  readonly clock: Clock;
  /** Models taken when the caller names none. */
  readonly predict: PredictOptions;
  /** How long a request may take. */
  readonly defaults: { readonly requestTimeoutMs: number };
  readonly jsonThreads: JsonThreads;
}
