/**
 * Reads and writes the gRPC form of a v2 inference request.
 * Source: https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_grpc.md
 */
import { inference } from "@spillway/protocol";
import { failure, isFailure, type Failure } from "../../core/errors.ts";
import type { TensorAnswer, WireAnswer } from "../../core/request.ts";
import { isDatatype, type Tensor } from "../../core/tensor.ts";
import { answerHeaders } from "../answer-headers.ts";
import { rpcAnswer } from "../rpc-answer.ts";
import { quoted, shownShape } from "../tensors/describe.ts";
import { contentsProblem } from "../tensors/write-values.ts";
import type { InferBody, WantedOutput } from "./infer-body.ts";
import { readInferParameters, refusedParameter, wantedOutput, type ParameterMap } from "./read-parameters.ts";
import { isShape } from "./read-infer.ts";
import { packContents, unpackContents } from "./typed-contents.ts";
import { chooseOutputs } from "./write-infer.ts";

/** A request and the form of its tensors, which the answer repeats. */
export interface RpcInferBody extends InferBody {
  readonly form: "raw" | "typed";
}

type Parameters = { readonly [name: string]: inference.InferParameter.$Properties } | null | undefined;

/** Reads a decoded request. Raw tensors are views into the message. */
export function readRpcInfer(message: inference.ModelInferRequest): RpcInferBody | Failure {
  const parameters = readInferParameters(plainParameters(message.parameters));
  if (isFailure(parameters)) return parameters;
  const inputs = readInputs(message);
  if (!Array.isArray(inputs)) return inputs;
  const outputs = readOutputs(message);
  if (!Array.isArray(outputs)) return outputs;
  return {
    id: message.id === "" ? undefined : message.id,
    parameters,
    inputs,
    outputs: outputs.length === 0 ? undefined : outputs,
    form: message.rawInputContents.length > 0 ? "raw" : "typed",
  };
}

/** Parameters as plain values. */
function plainParameters(parameters: Parameters): ParameterMap {
  const plain: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(parameters ?? {}))
    plain[name] =
      value.boolParam ?? value.int64Param ?? value.stringParam ?? value.doubleParam ?? value.uint64Param;
  return plain;
}

function readInputs(message: inference.ModelInferRequest): Tensor[] | Failure {
  const raw = message.rawInputContents;
  if (message.inputs.length === 0) return failure("bad_request", 'Expected tensors in "inputs", got none');
  if (raw.length > 0 && raw.length !== message.inputs.length)
    return failure(
      "bad_request",
      `Expected one entry in raw_input_contents for each of the ${message.inputs.length} inputs, got ${raw.length}`,
    );
  const inputs: Tensor[] = [];
  for (const [index, input] of message.inputs.entries()) {
    const tensor = readInput(input, raw[index]);
    if (isFailure(tensor)) return tensor;
    inputs.push(tensor);
  }
  return inputs;
}

function readInput(
  input: inference.ModelInferRequest.InferInputTensor.$Properties,
  raw: Uint8Array | undefined,
): Tensor | Failure {
  const name = input.name ?? "";
  const datatype = input.datatype ?? "";
  const shape = input.shape ?? [];
  if (!isDatatype(datatype))
    return failure(
      "invalid_tensor",
      `Input ${quoted(name)}: expected a v2 datatype such as FP32, got ${quoted(datatype)}`,
    );
  const isValid: boolean = isShape(shape);
  if (!isValid)
    return failure(
      "invalid_tensor",
      `Input ${quoted(name)}: expected whole numbers from 0 in shape, got ${shownShape(shape)}`,
    );
  const problem = refusedParameter(plainParameters(input.parameters));
  if (problem !== undefined) return problem;
  const contents = input.contents ?? undefined;
  if (raw !== undefined && contents !== undefined)
    return failure("bad_request", `Input ${quoted(name)}: expected contents or raw_input_contents, got both`);
  const data = raw ?? packContents({ name, datatype, shape }, contents ?? {});
  return data instanceof Uint8Array ? { name, datatype, shape, data } : data;
}

function readOutputs(message: inference.ModelInferRequest): WantedOutput[] | Failure {
  const outputs: WantedOutput[] = [];
  for (const output of message.outputs) {
    const wanted = wantedOutput(output.name ?? "", plainParameters(output.parameters));
    if (isFailure(wanted)) return wanted;
    outputs.push(wanted);
  }
  return outputs;
}

/** Writes an answer as a `ModelInferResponse` in pieces; raw tensors are not copied. */
export function writeRpcInfer(answer: TensorAnswer, request: RpcInferBody): WireAnswer | Failure {
  const pieces = encodeResponse(answer, request);
  return isPieces(pieces) ? rpcAnswer(pieces, answerHeaders(answer)) : pieces;
}

/** As `writeRpcInfer`, wrapped in a `ModelStreamInferResponse`. */
export function writeStreamInfer(answer: TensorAnswer, request: RpcInferBody): WireAnswer | Failure {
  const pieces = encodeResponse(answer, request);
  if (!isPieces(pieces)) return pieces;
  let size = 0;
  for (const piece of pieces) size += piece.length;
  return rpcAnswer([fieldHeader(streamField.inferResponse, size), ...pieces]);
}

/** Field numbers of length-delimited fields written by hand. */
const responseField = { rawOutputContents: 6 } as const;
const streamField = { inferResponse: 2 } as const;

function isPieces(value: readonly Uint8Array[] | Failure): value is readonly Uint8Array[] {
  return Array.isArray(value);
}

function encodeResponse(answer: TensorAnswer, request: RpcInferBody): readonly Uint8Array[] | Failure {
  const chosen = chooseOutputs(answer, request);
  if (isFailure(chosen)) return chosen;
  const tensors = chosen.map((output) => output.tensor);
  const typed = request.form === "typed" ? typedOutputs(tensors) : undefined;
  if (typed !== undefined && isFailure(typed)) return typed;
  const { model } = answer;
  const message = inference.ModelInferResponse.encode({
    modelName: model.name,
    modelVersion: model.version,
    id: request.id ?? "",
    parameters: answerParameters(answer, request),
    outputs: typed ?? tensors.map(({ name, datatype, shape }) => ({ name, datatype, shape: [...shape] })),
  }).finish();
  if (typed !== undefined) return [message];
  const pieces: Uint8Array[] = [message];
  for (const { data } of tensors)
    pieces.push(fieldHeader(responseField.rawOutputContents, data.length), data);
  return pieces;
}

/** All outputs with typed contents, or undefined when one of them has no typed form: then all go raw. */
function typedOutputs(
  tensors: readonly Tensor[],
): inference.ModelInferResponse.InferOutputTensor.$Properties[] | Failure | undefined {
  const outputs: inference.ModelInferResponse.InferOutputTensor.$Properties[] = [];
  for (const tensor of tensors) {
    const problem = contentsProblem(tensor);
    if (problem !== undefined) return problem;
    const contents = unpackContents(tensor);
    if (contents === undefined) return undefined;
    outputs.push({ name: tensor.name, datatype: tensor.datatype, shape: [...tensor.shape], contents });
  }
  return outputs;
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

/** Tag and length of a length-delimited field with a number below 16. */
function fieldHeader(field: number, size: number): Uint8Array {
  const bytes = [(field << 3) | 2];
  let rest = size;
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
  bytes.push(rest);
  return Uint8Array.from(bytes);
}
