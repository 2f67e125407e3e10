/** The part of Ollama's API that changes servers: for operators, behind scope `admin`. */
import type { ForwardCatalog, HttpEndpoint, HttpPool } from "../../contracts/http-endpoint.ts";
import type { HttpCall, Route } from "../../contracts/route.ts";
import { failure, isFailure, type Failure } from "../../core/errors.ts";
import { headerValue } from "../../core/headers.ts";
import type { JsonObject } from "../chat/json-object.ts";
import { readJsonObject } from "../chat/read-json-object.ts";
import { deleteEverywhere } from "./delete-everywhere.ts";
import type { OllamaDeps } from "./deps.ts";
import { refuseForeign } from "../../core/may-use.ts";
import { isSameModel } from "../../core/model-name.ts";
import { passCall } from "./passed-call.ts";
import { pullEverywhere } from "./pull-everywhere.ts";
import { writeOllamaFailure } from "./write-answer.ts";

/** Names one pool, where several have Ollama servers. */
const poolHeader = "x-spillway-pool";

/** Names one endpoint: `pool/host:port`, or `host:port`. */
const endpointHeader = "x-spillway-endpoint";

/** `pull` and `delete` on all servers of a pool; `create`, `copy`, `push` and `blobs` on one of them. */
export function createOperatorRoutes({ forward }: Pick<OllamaDeps, "forward">): Route[] {
  const passed = (call: HttpCall): ReturnType<Route["handle"]> => onOne(forward, call);
  return [
    operator("POST", "/api/pull", "bytes", (call) => pull(forward, call)),
    operator("DELETE", "/api/delete", "bytes", (call) => remove(forward, call)),
    operator("POST", "/api/create", "bytes", passed),
    operator("POST", "/api/copy", "bytes", passed),
    operator("POST", "/api/push", "bytes", passed),
    operator("HEAD", "/api/blobs/{digest}", "none", passed),
    operator("POST", "/api/blobs/{digest}", "stream", passed),
  ];
}

function operator(
  method: Route["method"],
  path: string,
  body: Route["body"],
  handle: Route["handle"],
): Route {
  return { method, path, scope: "admin", body, writeFailure: writeOllamaFailure, handle };
}

function pull(forward: ForwardCatalog, call: HttpCall): ReturnType<Route["handle"]> {
  const body = readJsonObject(call.body);
  if (isFailure(body)) return body;
  const foreign = refuseForeignNames(call, body.object);
  if (foreign !== undefined) return foreign;
  const endpoints = poolServers(forward, call, undefined);
  if (isFailure(endpoints)) return endpoints;
  const sent = Buffer.from(JSON.stringify({ ...body.object, stream: true }));
  return pullEverywhere(endpoints, { body: sent, stream: body.object["stream"] !== false });
}

function remove(forward: ForwardCatalog, call: HttpCall): ReturnType<Route["handle"]> {
  const body = readJsonObject(call.body);
  if (isFailure(body)) return body;
  const foreign = refuseForeignNames(call, body.object);
  if (foreign !== undefined) return foreign;
  const endpoints = poolServers(forward, call, namesIn(body.object)[0]);
  return isFailure(endpoints) ? endpoints : deleteEverywhere(endpoints, call.body);
}

/** Every model that an operator's call names. */
function namesIn({ model, name, source, destination, from }: JsonObject): readonly string[] {
  const names = [model, name, source, destination, from];
  return names.filter((each): each is string => typeof each === "string" && each !== "");
}

/** A key that is bound to models changes no others. */
function refuseForeignNames({ caller }: HttpCall, object: JsonObject): Failure | undefined {
  for (const name of namesIn(object)) {
    const foreign = refuseForeign(caller, name);
    if (foreign !== undefined) return foreign;
  }
  return undefined;
}

/** A path with a digest and nothing else that could lead elsewhere on the server. */
const digestPattern = /^sha256[:-][0-9a-fA-F]{64}$/;

function onOne(forward: ForwardCatalog, call: HttpCall): ReturnType<Route["handle"]> {
  const { method, params, body, upload } = call;
  const { digest } = params;
  if (digest !== undefined && !digestPattern.test(digest)) {
    return failure("bad_request", "The digest is not sha256: and 64 hexadecimal digits");
  }
  if (digest === undefined && call.caller.models !== undefined) {
    const named = readJsonObject(body);
    const foreign = isFailure(named) ? named : refuseForeignNames(call, named.object);
    if (foreign !== undefined) return foreign;
  }
  const endpoint = namedServer(forward, call);
  if (isFailure(endpoint)) return endpoint;
  const path = digest === undefined ? call.path : `/api/blobs/${digest}`;
  return passCall(endpoint, {
    method: method === "HEAD" ? "HEAD" : "POST",
    path,
    body: digest === undefined ? body : undefined,
    upload,
    changesModels: path === "/api/create" || path === "/api/copy",
  });
}

/** Pools of servers that take models. */
function operated(forward: ForwardCatalog): readonly HttpPool[] {
  return forward.pools().filter((pool) => !pool.isOwn && pool.endpoints.some(isOllama));
}

function isOllama(endpoint: HttpEndpoint): boolean {
  return endpoint.dialect === "ollama" && endpoint.state !== "draining";
}

/** One that has not yet said what it speaks is asked too: a call that leaves a server out says so. */
function mayBeOllama(endpoint: HttpEndpoint): boolean {
  return isOllama(endpoint) || (endpoint.dialect === undefined && endpoint.state !== "draining");
}

/** All Ollama servers of the pool that the call means: named, the only one, or the only one that has the model. */
function poolServers(
  forward: ForwardCatalog,
  { headers }: HttpCall,
  model: string | undefined,
): readonly HttpEndpoint[] | Failure {
  const named = headerValue(headers, poolHeader);
  const pools = operated(forward);
  const holders = pools.filter((pool) => {
    return model !== undefined && pool.models().some(({ name }) => isSameModel(name, model));
  });
  const among =
    named === undefined
      ? holders.length === 1
        ? holders
        : pools
      : pools.filter(({ name }) => name === named);
  const [pool] = among;
  if (pool !== undefined && among.length === 1) return pool.endpoints.filter(mayBeOllama);
  if (pools.length === 0) return failure("model_unavailable", "No pool has an Ollama server");
  const names = pools.map(({ name }) => name).join(", ");
  return failure("bad_request", `Name a pool of Ollama servers in ${poolHeader}: ${names}`);
}

/** The Ollama server that the call names, or the only one. */
function namedServer(forward: ForwardCatalog, { headers }: HttpCall): HttpEndpoint | Failure {
  const named = headerValue(headers, endpointHeader);
  const servers = operated(forward).flatMap((pool) => pool.endpoints.filter(isOllama));
  const among =
    named === undefined
      ? servers
      : servers.filter(({ id, pool }) => id === named || id === `${pool}/${named}`);
  const [server] = among;
  if (server !== undefined && among.length === 1) return server;
  if (servers.length === 0) return failure("model_unavailable", "No pool has an Ollama server");
  const names = servers.map(({ id }) => id).join(", ");
  return failure("bad_request", `Name an endpoint in ${endpointHeader}: ${names}`);
}
