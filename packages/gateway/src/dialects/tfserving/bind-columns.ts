/** Columns as tensors of a model. */
import { elementCount, encodeBytesElements } from "@spillway/protocol/tensors";
import { failure, isFailure, type Failure } from "../../core/errors.ts";
import type { ServedModel } from "../../core/model.ts";
import type { BoundTensors } from "../../core/request.ts";
import type { Tensor, TensorSpec } from "../../core/tensor.ts";
import { bindTensors } from "../tensors/bind-tensors.ts";
import { quoted, shownShape, shownSpecs } from "../tensors/describe.ts";
import { packFlat } from "../tensors/pack-values.ts";
import { pictureType, pictureTypes } from "../tensors/picture.ts";
import type { Column } from "./columns.ts";

/** The tensors of all columns, checked against the model. */
export function bindColumns(model: ServedModel, columns: readonly Column[]): BoundTensors | Failure {
  const inputs: Tensor[] = [];
  for (const column of columns) {
    const tensor = toTensor(model, column);
    if (isFailure(tensor)) return tensor;
    inputs.push(tensor);
  }
  return bindTensors(model, { inputs, outputs: undefined });
}

function toTensor(model: ServedModel, column: Column): Tensor | Failure {
  const name = column.name ?? unnamedInput(model, column);
  if (typeof name !== "string") return name;
  const spec = model.inputs.find((candidate) => candidate.name === name);
  if (spec === undefined && name === model.mapping.image) return pictures(model, column);
  if (spec === undefined)
    return failure(
      "invalid_tensor",
      `Input ${quoted(name)} is unknown; model ${quoted(model.name)} takes ${shownSpecs(model.inputs)}`,
    );
  const shape = fitShape(model, spec, column.shape);
  const data = packColumn({ ...spec, shape }, column);
  return data instanceof Uint8Array ? { name, datatype: spec.datatype, shape, data } : data;
}

/** The input that values without a name are for: pictures and texts are told apart by their first bytes. */
function unnamedInput(model: ServedModel, { values }: Column): string | Failure {
  const { image, prompt, features } = model.mapping;
  const only = model.inputs.length === 1 ? model.inputs[0]?.name : undefined;
  const name =
    values.kind !== "elements"
      ? features
      : isPicture(values.elements[0])
        ? (image ?? prompt)
        : (prompt ?? image);
  return (
    name ??
    only ??
    failure(
      "bad_request",
      `Model ${quoted(model.name)} has several inputs; name them: ${shownSpecs(model.inputs)}`,
    )
  );
}

function isPicture(element: Uint8Array | undefined): boolean {
  return element !== undefined && pictureType(element) !== undefined;
}

function pictures(model: ServedModel, { name, shape, values }: Column): Tensor | Failure {
  const elements = values.kind === "elements" ? values.elements : [];
  const odd = elements.findIndex((element) => !isPicture(element));
  if (values.kind !== "elements" || odd >= 0)
    return failure(
      "invalid_image",
      `Model ${quoted(model.name)} expects pictures of type ${pictureTypes.join(", ")} as {"b64": "…"}; value ${Math.max(0, odd)} is none`,
    );
  return {
    name: name ?? model.mapping.image ?? "",
    datatype: "BYTES",
    shape: [...shape],
    data: encodeBytesElements(elements),
  };
}

/**
 * The column's shape, or the model's where both hold as many values a row: a list of 64 numbers fits
 * [-1,8,8,1]. A model that takes no rows gets a single instance without its leading dimension.
 */
function fitShape(model: ServedModel, spec: TensorSpec, given: readonly number[]): number[] {
  if (!model.batchable && given[0] === 1 && given.length === spec.shape.length + 1) return given.slice(1);
  const inner = spec.shape.slice(1);
  const sameRank = given.length === spec.shape.length;
  if (sameRank || inner.includes(-1) || spec.shape.length === 0) return [...given];
  const rows = given[0] ?? 1;
  return elementCount(given.slice(1)) === elementCount(inner) ? [rows, ...inner] : [...given];
}

function packColumn(target: TensorSpec, { values }: Column): Uint8Array | Failure {
  const { name, datatype, shape } = target;
  if (values.kind === "elements" && datatype === "BYTES") return encodeBytesElements(values.elements);
  if (values.kind === "booleans" && datatype === "BOOL") return packFlat(target, values.booleans);
  const isWide = datatype === "INT64" || datatype === "UINT64";
  if (values.kind === "numbers" && datatype !== "BYTES")
    return packFlat(target, isWide ? (values.wide ?? values.numbers) : values.numbers);
  const kinds = { elements: "texts", booleans: "true and false", numbers: "numbers" } as const;
  return failure(
    "invalid_tensor",
    `Input ${quoted(name)}: the model expects ${datatype} ${shownShape(shape)}, got ${kinds[values.kind]}`,
  );
}
