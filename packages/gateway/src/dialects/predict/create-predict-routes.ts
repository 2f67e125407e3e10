/** `POST /predict`: features, a prompt or a picture in; class, confidence and label out. */
import { wireAnswer, type HttpCall, type Route, type RouteResult } from "../../contracts/route.ts";
import { errorTable, failure, isFailure, type Failure } from "../../core/errors.ts";
import { headerValue } from "../../core/headers.ts";
import type { WireAnswer } from "../../core/request.ts";
import { answerHeaders } from "../answer-headers.ts";
import { jsonAnswer } from "../json-answer.ts";
import { createRequest } from "../request.ts";
import { pictureType, pictureTypes } from "../tensors/picture.ts";
import type { PredictDeps } from "./deps.ts";
import { modelFor } from "./predict-model.ts";
import { createPredictPayload, type PredictionWriter } from "./predict-payload.ts";
import { readPicture, readPredictBody, type PredictBody } from "./read-predict.ts";

/** The prediction routes. */
export function createPredictRoutes(deps: PredictDeps): Route[] {
  return [
    {
      method: "POST",
      path: "/predict",
      scope: "infer",
      body: "bytes",
      writeFailure: writePredictFailure,
      handle: (call) => handlePredict(deps, call),
    },
  ];
}

/** The error table's status and `{"error": text, "code": name}`. */
function writePredictFailure(reason: Failure): WireAnswer {
  return jsonAnswer(errorTable[reason.code].http, { error: reason.message, code: reason.code });
}

function handlePredict(deps: PredictDeps, call: HttpCall): RouteResult | Promise<RouteResult> {
  const { body } = call;
  const type = headerValue(call.headers, "content-type");
  if (pictureType(body) !== undefined || type?.startsWith("image/") === true)
    return toRequest(deps, call, readPictureCall(call, type));
  const { limits } = deps.jsonThreads;
  if (body.length <= limits.parseInPlaceBytes)
    return toRequest(deps, call, readPredictBody({ body }, limits));
  return deps.jsonThreads
    .read("readPredict", { body }, call.cancellation)
    .then((request) => toRequest(deps, call, request));
}

/** A picture as the body; model and version come in the query. */
function readPictureCall({ body, query }: HttpCall, type: string | undefined): PredictBody | Failure {
  const mediaType = type?.split(";", 1)[0]?.trim().toLowerCase();
  if (mediaType?.startsWith("image/") === true && !pictureTypes.some((known) => known === mediaType))
    return failure(
      "unsupported_media_type",
      `Expected a picture of type ${pictureTypes.join(", ")}, got ${mediaType.slice(0, 80)}`,
    );
  const input = readPicture(body);
  if (isFailure(input)) return input;
  const members = new URLSearchParams(query);
  return {
    input,
    model: members.get("model_name") ?? undefined,
    version: members.get("model_version") ?? undefined,
  };
}

function toRequest(deps: PredictDeps, call: HttpCall, body: PredictBody | Failure): RouteResult {
  if (isFailure(body)) return body;
  const model = modelFor(body.model, body.input.kind, deps.predict);
  if (typeof model !== "string") return model;
  const writePrediction: PredictionWriter = (served, prediction, answer) => {
    const latencyMs = Math.round((deps.clock.now() - call.receivedAt) * 1000) / 1000;
    const value = {
      class_id: prediction.classId,
      confidence: prediction.confidence,
      error: "",
      label: prediction.label,
      model_name: served.name,
      model_version: served.version,
      latency_ms: latencyMs,
      ...(served.mock ? { mock: true } : {}),
    };
    return wireAnswer(
      200,
      "application/json",
      [Buffer.from(`${JSON.stringify(value)}\n`, "utf8")],
      answerHeaders(answer),
    );
  };
  return createRequest(call, {
    model,
    version: body.version,
    payload: createPredictPayload(body.input, writePrediction),
    timeoutMs: deps.defaults.requestTimeoutMs,
  });
}
