/**
 * KServe Open Inference Protocol v2 over HTTP, with Triton's extensions.
 * Source: https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
 */
import type { HttpCall, Route, RouteResult } from "../../contracts/route.ts";
import { failure, isFailure } from "../../core/errors.ts";
import type { RouteScope } from "../../core/request.ts";
import { jsonAnswer } from "../json-answer.ts";
import { quoted } from "../tensors/describe.ts";
import type { KserveDeps } from "./deps.ts";
import { handleInfer } from "./infer-route.ts";
import { modelConfig, modelMetadata, serverExtensions, statisticsJson } from "./metadata.ts";
import { createRepositoryRoutes } from "./repository-routes.ts";
import { writeKserveFailure } from "./write-failure.ts";

const modelPaths = ["/v2/models/{model}", "/v2/models/{model}/versions/{version}"] as const;

/** All v2 routes, and the v1-style addresses of infer. */
export function createKserveRoutes(deps: KserveDeps): Route[] {
  return [...serverRoutes(deps), ...inferRoutes(deps), ...modelRoutes(deps), ...createRepositoryRoutes(deps)];
}

function get(path: string, scope: RouteScope, handle: (call: HttpCall) => RouteResult): Route {
  return { method: "GET", path, scope, body: "none", writeFailure: writeKserveFailure, handle };
}

/**
 * Health bodies: clients of Triton read the status alone, those of KServe's own server read `live`
 * or `ready` too.
 */
function serverRoutes({ catalog, server }: KserveDeps): Route[] {
  return [
    get("/v2", "status", () =>
      jsonAnswer(200, { name: server.name, version: server.version, extensions: serverExtensions }),
    ),
    get("/v2/health/live", "open", () => jsonAnswer(200, { live: true })),
    get("/v2/health/ready", "open", () => {
      const ready = catalog.ready();
      return jsonAnswer(ready ? 200 : 503, { ready });
    }),
  ];
}

function inferRoutes(deps: KserveDeps): Route[] {
  const paths = [...modelPaths, "/v1/models/{model}", "/v1/models/{model}/versions/{version}"];
  return paths.map((path) => ({
    method: "POST",
    path: `${path}/infer`,
    scope: "infer",
    body: "bytes",
    writeFailure: writeKserveFailure,
    handle: (call) => handleInfer(deps, call),
  }));
}

function modelRoutes(deps: KserveDeps): Route[] {
  const { catalog } = deps;
  const routes = modelPaths.flatMap((path) => [
    get(path, "infer", (call) => {
      const model = catalog.find(call.params.model ?? "", call.params.version);
      return isFailure(model) ? model : jsonAnswer(200, modelMetadata(catalog, model));
    }),
    get(`${path}/ready`, "status", (call) => modelReady(deps, call)),
    get(`${path}/config`, "infer", (call) => {
      const model = catalog.find(call.params.model ?? "", call.params.version);
      return isFailure(model) ? model : jsonAnswer(200, modelConfig(catalog, model));
    }),
    get(`${path}/stats`, "status", (call) => modelStatistics(deps, call.params)),
  ]);
  return [...routes, get("/v2/models/stats", "status", () => modelStatistics(deps, {}))];
}

/** 200 when the model takes requests, 404 when it is unknown, else 503 (`writeKserveFailure` says why not 400). */
function modelReady({ catalog }: KserveDeps, { params }: HttpCall): RouteResult {
  const { model: name = "", version } = params;
  if (catalog.isReady(name, version)) return jsonAnswer(200, { name, ready: true });
  const found = catalog.find(name, version);
  if (isFailure(found)) return found;
  return failure("model_unavailable", `Model ${quoted(name)} is not ready`, 1_000);
}

function modelStatistics({ catalog }: KserveDeps, params: HttpCall["params"]): RouteResult {
  const { model, version } = params;
  const statistics = catalog.statistics(model, version);
  if (model !== undefined && statistics.length === 0) {
    const found = catalog.find(model, version);
    if (isFailure(found)) return found;
  }
  return jsonAnswer(200, statisticsJson(statistics));
}
