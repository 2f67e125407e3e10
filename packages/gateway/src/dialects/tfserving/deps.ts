/** What the v1 dialect is built from. */
import type { PooledModel } from "../../contracts/http-endpoint.ts";
import type { ModelCatalog } from "../../contracts/models.ts";
import type { Clock } from "../../core/clock.ts";
import type { JsonThreads } from "../json/json-threads.ts";

/** Dependencies of the v1 routes. */
export interface TfServingDeps {
  readonly catalog: ModelCatalog;
  /** Models of HTTP servers, which the listing tells as well. */
  readonly pooled: () => readonly PooledModel[];
  /** For `created`, which says when the gateway started to list its models. */
  readonly clock: Clock;
  /** How long a request may take. */
  readonly defaults: { readonly requestTimeoutMs: number };
  readonly jsonThreads: JsonThreads;
}
