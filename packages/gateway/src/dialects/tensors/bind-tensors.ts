/** The one place where what a caller sent is checked against what a model takes. */
import { countBytesElements, datatypeBytes, elementCount } from "@spillway/protocol/tensors";
import { failure, isFailure, type Failure } from "../../core/errors.ts";
import type { ServedModel } from "../../core/model.ts";
import type { BoundTensors } from "../../core/request.ts";
import type { Tensor, TensorSpec } from "../../core/tensor.ts";
import { quoted, shownShape, shownSpecs } from "./describe.ts";

/** Inputs as a dialect read them, not yet checked. */
export interface GivenTensors {
  readonly inputs: readonly Tensor[];
  /** Names of the outputs wanted; undefined for all. */
  readonly outputs: readonly string[] | undefined;
}

/**
 * Checks names, datatypes, shapes and sizes, and puts the inputs in the model's order. A model that
 * takes pictures accepts its BYTES picture input in place of one of its tensors. A model that
 * declares no inputs (some foreign servers do) is sent what was given.
 */
export function bindTensors(model: ServedModel, given: GivenTensors): BoundTensors | Failure {
  const inputs = model.inputs.length === 0 ? given.inputs : orderInputs(model, given.inputs);
  if (!isTensors(inputs)) return inputs;
  for (const tensor of inputs) {
    const problem = sizeProblem(tensor);
    if (problem !== undefined) return problem;
  }
  const outputs = outputsWanted(model, given.outputs);
  if (outputs !== undefined && !isNames(outputs)) return outputs;
  const rows = model.batchable ? commonRows(inputs) : 1;
  if (typeof rows !== "number") return rows;
  return { inputs, outputs, rows, bytes: bytesOf(inputs), shapeKey: shapeKey(model, inputs, outputs) };
}

function bytesOf(inputs: readonly Tensor[]): number {
  let bytes = 0;
  for (const { data } of inputs) bytes += data.length;
  return bytes;
}

function isTensors(value: readonly Tensor[] | Failure): value is readonly Tensor[] {
  return Array.isArray(value);
}

function isNames(value: readonly string[] | Failure): value is readonly string[] {
  return Array.isArray(value);
}

/** The given inputs in the model's order, each with the datatype and shape that the model takes. */
function orderInputs(model: ServedModel, given: readonly Tensor[]): readonly Tensor[] | Failure {
  const specs = model.inputs;
  const only = specs[0];
  const first = given[0];
  if (specs.length === 1 && given.length === 1 && only !== undefined && first?.name === only.name)
    return fitProblem(model, only, first) ?? given;
  return matchInputs(model, given);
}

function matchInputs(model: ServedModel, given: readonly Tensor[]): readonly Tensor[] | Failure {
  const byName = new Map<string, Tensor>();
  for (const tensor of given) {
    if (byName.has(tensor.name))
      return failure("invalid_tensor", `Input ${quoted(tensor.name)} is given twice`);
    byName.set(tensor.name, tensor);
  }
  const ordered: Tensor[] = [];
  for (const spec of model.inputs) {
    const tensor = takeByName(byName, spec.name);
    const input =
      tensor === undefined ? takePicture(model, byName) : (fitProblem(model, spec, tensor) ?? tensor);
    if (input === undefined && spec.optional === true) continue;
    if (input === undefined) return missing(model, spec.name);
    if (isFailure(input)) return input;
    ordered.push(input);
  }
  for (const name of byName.keys()) return extra(model, name);
  return ordered;
}

function takeByName(byName: Map<string, Tensor>, name: string): Tensor | undefined {
  const tensor = byName.get(name);
  byName.delete(name);
  return tensor;
}

/** The picture input, which stands in for one tensor; its shape becomes `[n]`. Undefined when none was given. */
function takePicture(model: ServedModel, byName: Map<string, Tensor>): Tensor | Failure | undefined {
  const picture = model.mapping.image === undefined ? undefined : takeByName(byName, model.mapping.image);
  if (picture === undefined) return undefined;
  const [rows = 0, ...rest] = picture.shape;
  if (picture.datatype === "BYTES" && rows > 0 && rest.every((dimension) => dimension === 1))
    return rest.length === 0 ? picture : { ...picture, shape: [rows] };
  return failure(
    "invalid_tensor",
    `Input ${quoted(picture.name)} is ${picture.datatype} ${shownShape(picture.shape)}; pictures are BYTES [n], one an element`,
  );
}

function missing(model: ServedModel, name: string): Failure {
  return failure("invalid_tensor", `Input ${quoted(name)} is missing; ${modelTakes(model)}`);
}

function extra(model: ServedModel, name: string): Failure {
  return failure("invalid_tensor", `Input ${quoted(name)} is unknown or one too many; ${modelTakes(model)}`);
}

function modelTakes(model: ServedModel): string {
  const picture = model.mapping.image;
  const extraInput = picture === undefined ? "" : `, or pictures as BYTES in ${quoted(picture)}`;
  return `model ${quoted(model.name)} takes ${shownSpecs(model.inputs)}${extraInput}`;
}

function fitProblem(model: ServedModel, spec: TensorSpec, tensor: Tensor): Failure | undefined {
  if (tensor.datatype !== spec.datatype)
    return failure(
      "invalid_tensor",
      `Input ${quoted(tensor.name)} has datatype ${tensor.datatype}; model ${quoted(model.name)} expects ${spec.datatype}`,
    );
  const expected = spec.shape;
  const shape = tensor.shape;
  let fits = shape.length === expected.length;
  for (let i = 0; fits && i < expected.length; i++) fits = expected[i] === -1 || expected[i] === shape[i];
  if (fits) return undefined;
  return failure(
    "invalid_tensor",
    `Input ${quoted(tensor.name)} has shape ${shownShape(shape)}; model ${quoted(model.name)} expects ${shownShape(expected)}`,
  );
}

/** Whether the contents are as long as the shape says. */
function sizeProblem({ name, datatype, shape, data }: Tensor): Failure | undefined {
  const count = elementCount(shape);
  if (datatype === "BYTES") {
    const elements = countBytesElements(data);
    if (elements === count) return undefined;
    const got = elements === undefined ? "contents whose lengths do not add up" : `${elements}`;
    return failure(
      "invalid_tensor",
      `Input ${quoted(name)}: shape ${shownShape(shape)} needs ${count} BYTES elements, got ${got}`,
    );
  }
  const wanted = count * datatypeBytes[datatype];
  if (data.length === wanted) return undefined;
  return failure(
    "invalid_tensor",
    `Input ${quoted(name)}: shape ${shownShape(shape)} of ${datatype} needs ${wanted} bytes, got ${data.length}`,
  );
}

/** The first dimension that all inputs of a batchable model share. */
function commonRows(inputs: readonly Tensor[]): number | Failure {
  const first = inputs[0];
  const rows = first?.shape[0] ?? 1;
  if (first !== undefined && rows < 1)
    return failure(
      "invalid_tensor",
      `Input ${quoted(first.name)} has shape ${shownShape(first.shape)}: no rows`,
    );
  for (const tensor of inputs) {
    if (tensor.shape[0] === rows) continue;
    return failure(
      "invalid_tensor",
      `Input ${quoted(tensor.name)} has ${tensor.shape[0] ?? "no"} rows, ${quoted(first?.name ?? "")} has ${rows}`,
    );
  }
  return rows;
}

function outputsWanted(
  model: ServedModel,
  wanted: readonly string[] | undefined,
): readonly string[] | Failure | undefined {
  if (wanted === undefined || wanted.length === 0) return undefined;
  if (model.outputs.length === 0) return wanted;
  for (const name of wanted) {
    if (model.outputs.some((spec) => spec.name === name)) continue;
    return failure(
      "invalid_tensor",
      `Output ${quoted(name)} is unknown; model ${quoted(model.name)} answers ${shownSpecs(model.outputs)}`,
    );
  }
  // Asking for every output by name is the same call as asking for none in particular.
  return model.outputs.every((spec) => wanted.includes(spec.name)) ? undefined : wanted;
}

/** Empty, and without a cost, for the usual request: the model's own inputs, only their first dimension variable, all outputs. */
function shapeKey(
  model: ServedModel,
  inputs: readonly Tensor[],
  outputs: readonly string[] | undefined,
): string {
  // Where optional inputs are left out, which ones are given is part of the key.
  const complete = inputs.length === model.inputs.length;
  let key = "";
  for (let i = 0; i < inputs.length; i++) {
    const tensor = inputs[i];
    const spec = model.inputs[i];
    const usual = complete && tensor?.name === spec?.name;
    if (tensor === undefined || (usual && !variesInside(spec?.shape ?? [], model.batchable))) continue;
    const shape = model.batchable ? tensor.shape.slice(1) : tensor.shape;
    key += `${tensor.name.length}:${tensor.name}${tensor.datatype}${shape.join(",")};`;
  }
  return outputs === undefined ? key : `${key}>${JSON.stringify(outputs.toSorted())}`;
}

function variesInside(shape: readonly number[], batchable: boolean): boolean {
  for (let i = batchable ? 1 : 0; i < shape.length; i++) if (shape[i] === -1) return true;
  return false;
}
