/** The model repository extension over HTTP. Source: https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_model_repository.md */
import { wireAnswer, type HttpCall, type Route, type RouteResult } from "../../contracts/route.ts";
import { failure, isFailure, type Failure } from "../../core/errors.ts";
import { jsonAnswer } from "../json-answer.ts";
import { parseJson } from "../json/parse-json.ts";
import { shown } from "../tensors/describe.ts";
import type { KserveDeps } from "./deps.ts";
import { changeModel, repositoryIndex } from "./repository-calls.ts";
import { writeKserveFailure } from "./write-failure.ts";

/** Index for whoever may see the status; load and unload for administrators. */
export function createRepositoryRoutes(deps: KserveDeps): Route[] {
  const change = (action: "load" | "unload"): Route => ({
    method: "POST",
    path: `/v2/repository/models/{model}/${action}`,
    scope: "admin",
    body: "bytes",
    writeFailure: writeKserveFailure,
    handle: (call) => handleChange(deps, action, call),
  });
  return [
    {
      method: "POST",
      path: "/v2/repository/index",
      scope: "status",
      body: "bytes",
      writeFailure: writeKserveFailure,
      handle: (call) => handleIndex(deps, call),
    },
    change("load"),
    change("unload"),
  ];
}

function handleIndex(deps: KserveDeps, call: HttpCall): RouteResult {
  const body = readOptionalObject(deps, call);
  if ("refused" in body) return body.refused;
  const readyOnly = body.members.ready ?? false;
  if (typeof readyOnly !== "boolean")
    return failure("bad_request", `"ready": expected true or false, got ${shown(readyOnly)}`);
  return jsonAnswer(200, repositoryIndex(deps.catalog, { readyOnly }));
}

async function handleChange(
  deps: KserveDeps,
  action: "load" | "unload",
  call: HttpCall,
): Promise<RouteResult> {
  const body = readOptionalObject(deps, call);
  if ("refused" in body) return body.refused;
  const given = body.members.parameters;
  const parameters = typeof given === "object" && given !== null ? Object.keys(given) : [];
  const problem = await changeModel(deps.catalog, action, { name: call.params.model ?? "", parameters });
  return problem ?? wireAnswer(200, "application/json", []);
}

/** The members of a body that may be left out altogether. */
function readOptionalObject(
  deps: KserveDeps,
  { body }: HttpCall,
): { readonly members: Readonly<Record<string, unknown>> } | { readonly refused: Failure } {
  if (body.length === 0) return { members: {} };
  const { limits } = deps.jsonThreads;
  if (body.length > limits.parseInPlaceBytes)
    return { refused: failure("body_too_large", `Expected at most ${limits.parseInPlaceBytes} bytes here`) };
  const parsed = parseJson(body, limits);
  if (isFailure(parsed)) return { refused: parsed };
  const { value } = parsed;
  if (typeof value === "object" && value !== null && !Array.isArray(value))
    return { members: value as Readonly<Record<string, unknown>> };
  return { refused: failure("bad_request", `Expected a JSON object, got ${shown(value)}`) };
}
