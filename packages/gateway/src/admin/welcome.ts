/** `GET /`: what this is, for whoever opens the address in a browser. */
import type { PooledModel } from "../contracts/http-endpoint.ts";
import type { ModelCatalog } from "../contracts/models.ts";
import { writePlainFailure } from "../contracts/plain-failure.ts";
import { wireAnswer, type Route } from "../contracts/route.ts";
import { mayUse } from "../core/may-use.ts";
import type { Caller } from "../core/request.ts";

/** What the page tells of. */
export interface WelcomeParts {
  readonly catalog: ModelCatalog;
  /** Models of the pools of HTTP servers. */
  readonly pooled: () => readonly PooledModel[];
  readonly version: string;
  /** Paths of the routes that the same door answers, as the routes have them: others are not told of. */
  readonly paths: ReadonlySet<string>;
}

/** What the page says of an address, shown where the route of that path is answered. */
const addresses: readonly (readonly [path: string, text: string])[] = [
  ["/api/chat", "POST /api/chat  /api/generate      Ollama is running: its clients work with this address"],
  [
    "/v1/chat/completions",
    "POST /v1/chat/completions          OpenAI's API, with /v1/completions, /v1/embeddings, /v1/responses",
  ],
  ["/v1/messages", "POST /v1/messages                  Anthropic's API"],
  ["/predict", "POST /predict                      features, a prompt or a picture to a class"],
  ["/v2/models/{model}/infer", "POST /v2/models/MODEL/infer        KServe Open Inference Protocol v2"],
  ["/v1/models/{model}:predict", "POST /v1/models/MODEL:predict      instances to predictions"],
  ["/v2/models/{model}", "GET  /v2/models/MODEL              inputs and outputs of a model"],
  [
    "/device-api/v1/image-queries",
    "POST /device-api/v1/image-queries  Groundlight's API: a picture for a detector",
  ],
  ["/status", "GET  /status                       the edge endpoint's page: what it answered, and why so"],
  ["/admin/picker", "GET  /admin/picker                 servers of the pools that have scheduling profiles"],
  ["/admin/decisions/{id}", "GET  /admin/decisions/REQUEST-ID   where a request went, and why"],
  ["/health", "GET  /health  /health/ready        health"],
  ["/metrics", "GET  /metrics                      Prometheus"],
];

/** So many models of pools are listed: servers of others may have hundreds. */
const maxListed = 50;

/**
 * A page of plain text: the version, the models and addresses to try. It begins with `Spillway`, by which another
 * gateway knows it for none of the servers it looks for, and says `Ollama is running`, for which Ollama's clients look.
 */
export function createWelcomeRoute(parts: WelcomeParts): Route {
  return {
    method: "GET",
    path: "/",
    scope: "any",
    body: "none",
    writeFailure: writePlainFailure,
    handle: ({ caller }) => wireAnswer(200, "text/plain; charset=utf-8", [Buffer.from(page(parts, caller))]),
  };
}

/** A key sees the models it may use; why one could not be loaded is for those who may see the status. */
function page({ catalog, pooled, version, paths }: WelcomeParts, caller: Caller): string {
  const own = catalog.list().filter(({ name }) => mayUse(caller, name));
  const told = own.map(({ name, version: number, state, reason }) => {
    const why = reason === "" || !caller.scopes.includes("status") ? "" : `: ${reason}`;
    return `  ${name} ${number}  ${state.toLowerCase()}${why}`;
  });
  const models = [...told, ...listPooled(pooled().filter(({ name }) => mayUse(caller, name)))];
  const takesRequests = paths.has("/v1/chat/completions");
  const listed = models.length > 0 || takesRequests;
  return [
    `Spillway ${version}: ${takesRequests ? "an inference gateway" : "an endpoint picker"}.`,
    "",
    ...(listed ? ["Models", ...(models.length === 0 ? ["  none"] : models), ""] : []),
    "Addresses",
    ...addresses.filter(([path]) => paths.has(path)).map(([, text]) => `  ${text}`),
    "",
  ].join("\n");
}

function listPooled(models: readonly PooledModel[]): string[] {
  const lines = models.slice(0, maxListed).map(({ name, pool, ready, endpoints }) => {
    return `  ${name}  pool ${pool}, ${ready} of ${endpoints} ${endpoints === 1 ? "server" : "servers"} ready`;
  });
  const more = models.length - lines.length;
  return more === 0 ? lines : [...lines, `  and ${more} more: GET /v1/models`];
}
