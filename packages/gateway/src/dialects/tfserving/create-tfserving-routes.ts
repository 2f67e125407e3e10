/** Predictive models the way TF-Serving and KServe v1 address them: `/v1/models/{model}:predict` and the model listing. */
import type { HttpCall, Route, RouteResult } from "../../contracts/route.ts";
import { errorTable, failure, isFailure, type Failure } from "../../core/errors.ts";
import { headerValue, type HeaderMap } from "../../core/headers.ts";
import { mayUse, refuseForeign } from "../../core/may-use.ts";
import { isSameModel } from "../../core/model-name.ts";
import type { WireAnswer } from "../../core/request.ts";
import { writeAnthropicFailure } from "../anthropic/errors.ts";
import { jsonAnswer } from "../json-answer.ts";
import { writeOpenAiFailure } from "../openai/openai-errors.ts";
import { createRequest } from "../request.ts";
import { quoted } from "../tensors/describe.ts";
import { pictureType, pictureTypes } from "../tensors/picture.ts";
import { bindColumns } from "./bind-columns.ts";
import type { TfServingDeps } from "./deps.ts";
import { modelCard, modelCards, pooledCard } from "./model-cards.ts";
import { readInstances, type InstancesBody } from "./read-instances.ts";
import { writePredictions } from "./write-predictions.ts";

/** The v1 routes. */
export function createTfServingRoutes(deps: TfServingDeps): Route[] {
  const created = Math.floor(deps.clock.wallNow() / 1000);
  const paths = ["/v1/models/{model}", "/v1/models/{model}/versions/{version}"] as const;
  return [
    ...paths.map((path) => predictRoute(deps, path)),
    ...paths.map((path) => get(path, (call) => describeModel(deps, call, created))),
    { ...get("/v1/models", (call) => listModels(deps, call, created)), writeFailure: writeListFailure },
  ];
}

function listModels(deps: TfServingDeps, { caller }: HttpCall, created: number): WireAnswer {
  const predictive = modelCards(deps.catalog, created);
  const known = new Set(predictive.map(({ name }) => name));
  const pooled = deps.pooled().filter(({ name }) => !known.has(name));
  const all = [...predictive, ...pooled.map((model) => pooledCard(model, created))];
  const data = all.filter(({ name }) => mayUse(caller, name));
  return jsonAnswer(200, { object: "list", data, models: data.map(({ name }) => name) });
}

/** The error table's status and `{"error": text}`. */
function writeTfServingFailure(reason: Failure): WireAnswer {
  return jsonAnswer(errorTable[reason.code].http, { error: reason.message });
}

function get(path: string, handle: (call: HttpCall) => RouteResult): Route {
  return { method: "GET", path, scope: "infer", body: "none", writeFailure: writeCardFailure, handle };
}

/** Most who list are OpenAI's clients, which read their own errors best. */
function writeListFailure(reason: Failure, requestId: string, headers: HeaderMap = {}): WireAnswer {
  return isAnthropic(headers) ? writeAnthropicFailure(reason, requestId) : writeOpenAiFailure(reason);
}

/** A model's card is asked for by OpenAI's, Anthropic's and TF-Serving's clients at one address: each reads its own errors. */
function writeCardFailure(reason: Failure, requestId: string, headers: HeaderMap = {}): WireAnswer {
  if (isAnthropic(headers)) return writeAnthropicFailure(reason, requestId);
  return isOpenAi(headers) ? writeOpenAiFailure(reason) : writeTfServingFailure(reason);
}

/** Anthropic's API refuses calls without this header (https://docs.anthropic.com/en/api/versioning). */
function isAnthropic(headers: HeaderMap): boolean {
  return headerValue(headers, "anthropic-version") !== undefined;
}

/** OpenAI's clients always send a bearer token, TF-Serving's and KServe v1's none of their own; both SDKs say their language. */
function isOpenAi(headers: HeaderMap): boolean {
  return (
    headerValue(headers, "x-stainless-lang") !== undefined ||
    /^bearer /i.test(headerValue(headers, "authorization") ?? "")
  );
}

/** A model that the caller may not use is refused like a call to it, whether or not it exists. */
function describeModel(
  { catalog, pooled }: TfServingDeps,
  { params, caller }: HttpCall,
  created: number,
): RouteResult {
  const { model: name = "", version } = params;
  const foreign = refuseForeign(caller, name);
  if (foreign !== undefined) return foreign;
  const card = modelCard(catalog, { name, version, created });
  if (!isFailure(card)) return jsonAnswer(200, card);
  if (version !== undefined) return card;
  const models = pooled();
  const found =
    models.find((each) => each.name === name) ?? models.find((each) => isSameModel(each.name, name));
  if (found !== undefined) return jsonAnswer(200, pooledCard(found, created));
  return models.length === 0
    ? card
    : failure("model_not_found", `No model ${quoted(name)}; /v1/models lists them`);
}

function predictRoute(deps: TfServingDeps, path: string): Route {
  return {
    method: "POST",
    path: `${path}:predict`,
    scope: "infer",
    body: "bytes",
    writeFailure: writeTfServingFailure,
    handle: (call) => handlePredict(deps, call),
  };
}

function handlePredict(deps: TfServingDeps, call: HttpCall): RouteResult | Promise<RouteResult> {
  const { body } = call;
  if (pictureType(body) !== undefined) return toRequest(deps, call, pictureBody(body));
  if (headerValue(call.headers, "content-type")?.startsWith("image/") === true)
    return failure("bad_request", `The body is no picture of type ${pictureTypes.join(", ")}`);
  const { limits } = deps.jsonThreads;
  if (body.length <= limits.parseInPlaceBytes) return toRequest(deps, call, readInstances({ body }, limits));
  return deps.jsonThreads
    .read("readInstances", { body }, call.cancellation)
    .then((request) => toRequest(deps, call, request));
}

/** A bare picture is one unnamed instance. */
function pictureBody(picture: Uint8Array): InstancesBody {
  const values = { kind: "elements", elements: [picture] } as const;
  return { form: "rows", columns: [{ name: undefined, shape: [1], values }] };
}

function toRequest(deps: TfServingDeps, call: HttpCall, body: InstancesBody | Failure): RouteResult {
  if (isFailure(body)) return body;
  const { columns, form } = body;
  const rows = columns[0]?.shape[0] ?? 1;
  return createRequest(call, {
    model: call.params.model ?? "",
    version: call.params.version,
    payload: {
      kind: "tensors",
      bind: (model) => bindColumns(model, columns),
      write: (answer) => writePredictions(answer, { form, rows, threads: deps.jsonThreads }),
    },
    timeoutMs: deps.defaults.requestTimeoutMs,
  });
}
