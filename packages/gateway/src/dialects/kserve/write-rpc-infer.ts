/** Writes the gRPC form of a v2 inference answer, with its tensors in the form the request had. */
import { fieldHead, inference } from "@spillway/protocol";
import { isFailure, type Failure } from "../../core/errors.ts";
import type { TensorAnswer, WireAnswer } from "../../core/request.ts";
import type { Tensor } from "../../core/tensor.ts";
import { answerHeaders } from "../answer-headers.ts";
import type { JsonThreads } from "../json/json-threads.ts";
import { rpcAnswer } from "../rpc-answer.ts";
import { encodeTypedOutputs, hasTypedForm } from "./typed-contents.ts";
import type { RpcInferBody } from "./read-rpc-infer.ts";
import { chooseOutputs } from "./write-infer.ts";

/** What an answer is written for. */
export interface WriteRpcOptions {
  readonly request: RpcInferBody;
  /** `stream`: wrapped in a `ModelStreamInferResponse`. */
  readonly wrap: "none" | "stream";
  /** Encodes typed contents that are too large to be encoded at once. */
  readonly threads: JsonThreads;
}

/** Writes a `ModelInferResponse` in pieces. Raw tensors are not copied; large typed ones take a promise. */
export function writeRpcInfer(
  answer: TensorAnswer,
  options: WriteRpcOptions,
): WireAnswer | Failure | Promise<WireAnswer | Failure> {
  const chosen = chooseOutputs(answer, options.request);
  if (isFailure(chosen)) return chosen;
  const tensors = chosen.map((output) => output.tensor);
  if (options.request.form === "raw" || !tensors.every(hasTypedForm))
    return toAnswer(answer, options, rawOutputs(tensors));
  let bytes = 0;
  for (const { data } of tensors) bytes += data.length;
  if (bytes <= options.threads.limits.writeInPlaceBytes)
    return toAnswer(answer, options, asPieces(encodeTypedOutputs(tensors)));
  return options.threads.writeTyped(tensors).then((typed) => toAnswer(answer, options, asPieces(typed)));
}

function asPieces(encoded: Uint8Array | Failure): readonly Uint8Array[] | Failure {
  return isFailure(encoded) ? encoded : [encoded];
}

/** Fields of an answer may stand in any order, so the outputs may follow the encoded rest. */
function rawOutputs(tensors: readonly Tensor[]): readonly Uint8Array[] {
  const outputs = tensors.map(({ name, datatype, shape }) => ({ name, datatype, shape: [...shape] }));
  const pieces: Uint8Array[] = [inference.ModelInferResponse.encode({ outputs }).finish()];
  for (const { data } of tensors) pieces.push(fieldHead(fields.rawOutputContents, data.length), data);
  return pieces;
}

/** Numbers of the length-delimited fields that are written by hand. */
const fields = { rawOutputContents: 6, inferResponse: 2 } as const;

function toAnswer(
  answer: TensorAnswer,
  { request, wrap }: WriteRpcOptions,
  outputs: readonly Uint8Array[] | Failure,
): WireAnswer | Failure {
  if (isFailure(outputs)) return outputs;
  const { model } = answer;
  const head = inference.ModelInferResponse.encode({
    modelName: model.name,
    modelVersion: model.version,
    id: request.id ?? "",
    parameters: answerParameters(answer, request),
  }).finish();
  const pieces = [head, ...outputs];
  if (wrap === "none") return rpcAnswer(pieces, answerHeaders(answer));
  let size = 0;
  for (const piece of pieces) size += piece.length;
  return rpcAnswer([fieldHead(fields.inferResponse, size), ...pieces], answerHeaders(answer));
}

function answerParameters(
  { model }: TensorAnswer,
  { parameters }: RpcInferBody,
): Record<string, inference.InferParameter.$Properties> {
  return {
    ...(model.mock ? { mock: { boolParam: true } } : {}),
    ...(parameters.markFinal ? { triton_final_response: { boolParam: true } } : {}),
  };
}
