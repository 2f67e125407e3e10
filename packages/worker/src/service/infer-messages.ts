/** `ModelInfer` messages: tensors out of a request without copying, tensors into a response without joining. */
import { fieldHead, inference } from "@spillway/protocol";
import { datatypeBytes, isDatatype } from "@spillway/protocol/tensors";
import type { InferResult, LoadedModel } from "../model/loaded-model.ts";
import type { Refusal } from "../refusal.ts";
import { isRefusal, refuse } from "../refusal.ts";
import type { Tensor } from "../tensor.ts";
import { rawFromTyped } from "./typed-contents.ts";

/** A decoded `ModelInferRequest`. Tensors with raw contents are views of the message. */
export interface InferCall {
  readonly model: string;
  readonly version: string;
  readonly id: string;
  readonly inputs: readonly Tensor[];
  /** Requested outputs; empty: all. */
  readonly outputs: readonly string[];
}

/** Tensors of one request at most. */
const maxTensors = 256;

/** Dimensions of one tensor at most. */
const maxDimensions = 32;

/** Number of the field `raw_output_contents`. */
const rawOutputField = 6;

/** Reads a request's tensors; a refusal says what does not fit together. Which tensors the model takes is checked later. */
export function readInferCall(request: inference.ModelInferRequest): InferCall | Refusal {
  const { inputs: declared, rawInputContents: raw, outputs } = request;
  if (declared.length > maxTensors || outputs.length > maxTensors)
    return refuse("invalid", `expected at most ${maxTensors} tensors`);
  if (raw.length > 0 && raw.length !== declared.length)
    return refuse(
      "invalid",
      `expected one entry of raw_input_contents for each of the ${declared.length} inputs, got ${raw.length}`,
    );
  const inputs: Tensor[] = [];
  for (const [index, input] of declared.entries()) {
    const tensor = readTensor(input, raw[index]);
    if (isRefusal(tensor)) return tensor;
    inputs.push(tensor);
  }
  return {
    model: request.modelName,
    version: request.modelVersion,
    id: request.id,
    inputs,
    outputs: outputs.map((output) => output.name ?? ""),
  };
}

function readTensor(
  input: inference.ModelInferRequest.InferInputTensor.$Properties,
  raw: Uint8Array | undefined,
): Tensor | Refusal {
  const name = input.name ?? "";
  const datatype = input.datatype ?? "";
  const shape = input.shape ?? [];
  if (!isDatatype(datatype)) {
    const known = Object.keys(datatypeBytes).join(", ");
    return refuse("invalid", `input "${name}": unknown datatype "${datatype}"; expected one of ${known}`);
  }
  if (shape.length > maxDimensions)
    return refuse(
      "invalid",
      `input "${name}": expected at most ${maxDimensions} dimensions, got ${shape.length}`,
    );
  if (raw !== undefined) {
    if (input.contents !== undefined && input.contents !== null)
      return refuse("invalid", `input "${name}": expected no contents beside raw_input_contents`);
    return { name, datatype, shape, data: raw };
  }
  const data = rawFromTyped(name, datatype, input.contents ?? {});
  return typeof data === "string" ? refuse("invalid", data) : { name, datatype, shape, data };
}

/**
 * The pieces of a `ModelInferResponse`: an encoded head, then each output's bytes as the engine left
 * them. Protobuf lets fields follow in any order, so nothing has to be joined.
 */
export function writeInferAnswer(model: LoadedModel, id: string, result: InferResult): Uint8Array[] {
  const parameters: Record<string, inference.InferParameter.$Properties> = {
    compute_ns: { int64Param: result.computeNs },
    preprocess_ns: { int64Param: result.preprocessNs },
  };
  if (model.engine.kind === "mock") parameters["engine"] = { stringParam: "mock" };
  const head = inference.ModelInferResponse.encode({
    modelName: model.name,
    modelVersion: model.version,
    id,
    parameters,
    outputs: result.outputs.map(({ name, datatype, shape }) => ({ name, datatype, shape: [...shape] })),
  }).finish();
  const pieces: Uint8Array[] = [head];
  for (const { data } of result.outputs) {
    pieces.push(fieldHead(rawOutputField, data.length));
    if (data.length > 0) pieces.push(data);
  }
  return pieces;
}
