/** `inference.ModelInference/Predict`: the same prediction as `POST /predict`, over gRPC. */
import { inference } from "@spillway/protocol";
import type { RpcCall, RpcMethod, RouteResult } from "../../contracts/route.ts";
import { errorTable, failure, isFailure, type ErrorCode, type Failure } from "../../core/errors.ts";
import type { WireAnswer } from "../../core/request.ts";
import { answerHeaders } from "../answer-headers.ts";
import { decodeMessage } from "../decode-message.ts";
import { createRequest } from "../request.ts";
import { rpcAnswer } from "../rpc-answer.ts";
import type { PlainInput } from "../tensors/plain-inputs.ts";
import type { PredictDeps } from "./deps.ts";
import { modelFor } from "./predict-model.ts";
import { createPredictPayload, type PredictionWriter } from "./predict-payload.ts";

/**
 * The prediction method. The protocol's `error` field says that a prediction failed; a gRPC status
 * says that the service did. So what the request or the model is to blame for (wrong input, unknown
 * model, a failed run) is an OK answer with `error` set, `class_id` -1 and `confidence` 0, and what
 * another try or other credentials may cure (no instance, full queue, deadline, shutdown, access)
 * is a status: clients of this protocol retry and trip their breakers on statuses only.
 */
export function createPredictRpc(deps: PredictDeps): RpcMethod[] {
  return [
    {
      path: "/inference.ModelInference/Predict",
      scope: "infer",
      kind: "unary",
      writeFailure: (reason) => (isAboutPrediction(reason.code) ? [encodeError(reason)] : undefined),
      handle: (call) => handlePredict(deps, call),
    },
  ];
}

/** Failures of the service that no client should take for an answer, though repeating the call will not help. */
const serviceFailures: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "unauthorized",
  "forbidden",
  "denied",
  "not_found",
  "method_not_allowed",
  "request_timeout",
  "client_gone",
  "internal",
  "unimplemented",
]);

function isAboutPrediction(code: ErrorCode): boolean {
  return !errorTable[code].retryable && !serviceFailures.has(code);
}

function encodeError({ message }: Failure): Uint8Array {
  return inference.PredictResponse.encode({ classId: -1, confidence: 0, error: message }).finish();
}

/** A message of this size decodes within a few milliseconds: 262,144 features. */
const maxMessageBytes = 1024 * 1024;

function handlePredict(deps: PredictDeps, call: RpcCall): RouteResult {
  if (call.message.length > maxMessageBytes)
    return failure(
      "body_too_large",
      `Predict takes up to ${maxMessageBytes} bytes; send larger tensors through ModelInfer`,
    );
  const message = decodeMessage(inference.PredictRequest, call.message);
  if (isFailure(message)) return message;
  const input = readInput(message);
  if (isFailure(input)) return input;
  const model = modelFor(message.modelName === "" ? undefined : message.modelName, input.kind, deps.predict);
  if (typeof model !== "string") return model;
  return createRequest(call, {
    model,
    version: undefined,
    payload: createPredictPayload(input, writePrediction),
    timeoutMs: Math.min(deps.defaults.requestTimeoutMs, call.timeoutMs ?? Infinity),
  });
}

/** Features are finite, as they are over HTTP; a model that takes NaN for a gap is asked through v2. */
function readInput({ features, prompt }: inference.PredictRequest): PlainInput | Failure {
  const hasFeatures = features.length > 0;
  if (hasFeatures === (prompt !== "")) {
    const got = prompt === "" ? "none" : "both";
    return failure("bad_request", `Expected exactly one of "features" and "prompt", got ${got}`);
  }
  if (prompt !== "") return { kind: "prompt", text: prompt };
  const odd = features.findIndex((value) => !Number.isFinite(value));
  if (odd < 0) return { kind: "features", values: features };
  return failure("bad_request", `"features": expected a finite number at place ${odd}, got ${features[odd]}`);
}

/** The message has no place for a mock's name; the answer's metadata says it. */
const writePrediction: PredictionWriter = (model, { classId, confidence }, answer): WireAnswer => {
  const headers = model.mock
    ? [...answerHeaders(answer), ["x-spillway-mock", "true"] as const]
    : answerHeaders(answer);
  return rpcAnswer([inference.PredictResponse.encode({ classId, confidence, error: "" }).finish()], headers);
};
