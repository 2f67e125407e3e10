/**
 * Reads the gRPC form of a v2 inference request.
 * Source: https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_grpc.md
 */
import { inference } from "@spillway/protocol";
import { isDatatype } from "@spillway/protocol/tensors";
import { failure, isFailure, type Failure } from "../../core/errors.ts";
import type { Tensor } from "../../core/tensor.ts";
import { decodeMessage } from "../decode-message.ts";
import { quoted, shownShape } from "../tensors/describe.ts";
import type { InferBody, WantedOutput } from "./infer-body.ts";
import { isShape } from "./read-infer.ts";
import { readInferParameters, refusedParameter, wantedOutput, type ParameterMap } from "./read-parameters.ts";
import { packContents } from "./typed-contents.ts";

/** A request, the model it names, and the form of its tensors, which the answer repeats. */
export interface RpcInferBody extends InferBody {
  readonly model: string;
  readonly version: string | undefined;
  readonly form: "raw" | "typed";
}

type Parameters = { readonly [name: string]: inference.InferParameter.$Properties } | null | undefined;

/** Decodes and reads a request. Raw tensors are views into the message. */
export function readRpcInfer({ body }: { readonly body: Uint8Array }): RpcInferBody | Failure {
  const message = decodeMessage(inference.ModelInferRequest, body);
  return isFailure(message) ? message : readDecoded(message);
}

function readDecoded(message: inference.ModelInferRequest): RpcInferBody | Failure {
  const parameters = readInferParameters(plainParameters(message.parameters));
  if (isFailure(parameters)) return parameters;
  const inputs = readInputs(message);
  if (!Array.isArray(inputs)) return inputs;
  const outputs = readOutputs(message);
  if (!Array.isArray(outputs)) return outputs;
  return {
    model: message.modelName,
    version: message.modelVersion === "" ? undefined : message.modelVersion,
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
