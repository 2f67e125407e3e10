/** What the v2 dialect is built from. */
import type { ModelCatalog } from "../../contracts/models.ts";
import type { JsonThreads } from "../json/json-threads.ts";

/** Dependencies of the v2 routes and methods. */
export interface KserveDeps {
  readonly catalog: ModelCatalog;
  /** How long a request may take that asks for nothing shorter. */
  readonly defaults: { readonly requestTimeoutMs: number };
  /** What the server says it is. */
  readonly server: { readonly name: string; readonly version: string };
  readonly jsonThreads: JsonThreads;
}
