/** The v2 dialect's part of a request: how its inputs meet the model and its answer is written. */
import { datatypeBytes, encodeBytesElements } from "@spillway/protocol/tensors";
import { failure, isFailure, type Failure } from "../../core/errors.ts";
import type { ServedModel } from "../../core/model.ts";
import type { BoundTensors, TensorPayload } from "../../core/request.ts";
import type { Tensor, TensorSpec } from "../../core/tensor.ts";
import type { JsonThreads } from "../json/json-threads.ts";
import { bindTensors } from "../tensors/bind-tensors.ts";
import { quoted, shownShape } from "../tensors/describe.ts";
import { pictureType } from "../tensors/picture.ts";
import { defaultInferParameters, type InferBody } from "./infer-body.ts";
import { writeInferAnswer } from "./write-infer.ts";

/** The payload of a request that was read whole. */
export function createInferPayload(request: InferBody, threads: JsonThreads): TensorPayload {
  const outputs = request.outputs?.map((output) => output.name);
  return {
    kind: "tensors",
    bind: (model) => bindTensors(model, { inputs: request.inputs, outputs }),
    write: (answer) => writeInferAnswer(answer, { request, threads }),
  };
}

/** What a raw request is answered with: every output as binary data. */
const rawRequest: InferBody = {
  id: undefined,
  parameters: { ...defaultInferParameters, binaryOutput: true },
  inputs: [],
  outputs: undefined,
};

/** The payload of a raw binary request: the body is the one input of a batch of one. */
export function createRawPayload(body: Uint8Array, threads: JsonThreads): TensorPayload {
  return {
    kind: "tensors",
    bind: (model) => bindRaw(model, body),
    write: (answer) => writeInferAnswer(answer, { request: rawRequest, threads }),
  };
}

function bindRaw(model: ServedModel, body: Uint8Array): BoundTensors | Failure {
  const input = rawInput(model, body);
  return isFailure(input) ? input : bindTensors(model, { inputs: [input], outputs: undefined });
}

function rawInput(model: ServedModel, body: Uint8Array): Tensor | Failure {
  const picture = model.mapping.image;
  if (picture !== undefined && pictureType(body) !== undefined)
    return { name: picture, datatype: "BYTES", shape: [1], data: encodeBytesElements([body]) };
  const spec = model.inputs[0];
  if (spec === undefined || model.inputs.length !== 1)
    return failure(
      "bad_request",
      `A raw request needs a model with one input; ${quoted(model.name)} has ${model.inputs.length}`,
    );
  const shape = rawShape(model, spec, body.length);
  if (!Array.isArray(shape)) return shape;
  const data = spec.datatype === "BYTES" ? encodeBytesElements([body]) : body;
  return { name: spec.name, datatype: spec.datatype, shape, data };
}

/** The model's shape with one row, its one other variable dimension taken from the length. */
function rawShape(model: ServedModel, spec: TensorSpec, length: number): number[] | Failure {
  const shape = [...spec.shape];
  if (model.batchable && shape[0] === -1) shape[0] = 1;
  const variable = shape.indexOf(-1);
  if (variable === -1) return shape;
  if (shape.includes(-1, variable + 1))
    return failure(
      "bad_request",
      `A raw request cannot tell the shape of input ${quoted(spec.name)}: ${shownShape(spec.shape)} has more than one variable dimension`,
    );
  const bytes = datatypeBytes[spec.datatype];
  const others = shape.reduce((product, dimension) => (dimension === -1 ? product : product * dimension), 1);
  const count = spec.datatype === "BYTES" ? 1 : length / bytes;
  shape[variable] = Math.floor(count / Math.max(1, others));
  return shape;
}
