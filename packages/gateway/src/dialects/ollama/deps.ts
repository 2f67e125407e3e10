/** What Ollama's routes are built from. */
import type { ForwardCatalog } from "../../contracts/http-endpoint.ts";
import type { Clock } from "../../core/clock.ts";
import type { ServerCodecs } from "../chat/codec.ts";
import type { JsonThreads } from "../json/json-threads.ts";

/** Dependencies of the routes under `/api/`. */
export interface OllamaDeps {
  readonly clock: Clock;
  /** The gateway's own version, which `/api/version` tells beside Ollama's. */
  readonly version: string;
  /** How long a request may wait. */
  readonly defaults: { readonly requestTimeoutMs: number };
  /** Pools of HTTP servers and their models. */
  readonly forward: ForwardCatalog;
  /** How requests are translated for servers of other dialects. */
  readonly servers: ServerCodecs;
  /** Where large chats are translated. */
  readonly jsonThreads: JsonThreads;
}
