/** Checks what a request brings against what the model takes. Every message names the expected and the given. */
import { countBytesElements, datatypeBytes, elementCount } from "@spillway/protocol/tensors";
import type { TensorSpec, Tensor } from "../tensor.ts";
import { describeSpec } from "../tensor.ts";

/** The first thing wrong with a request's tensors, or undefined. */
export function checkInputs(inputs: readonly Tensor[], specs: readonly TensorSpec[]): string | undefined {
  for (const [index, input] of inputs.entries()) {
    const spec = specs.find((candidate) => candidate.name === input.name);
    if (spec === undefined) return `unexpected input "${input.name}"; expected ${describeAll(specs)}`;
    if (inputs.findIndex((other) => other.name === input.name) !== index)
      return `input "${input.name}" is given twice`;
    const problem = checkTensor(input, spec);
    if (problem !== undefined) return problem;
  }
  for (const spec of specs) {
    if (!inputs.some((input) => input.name === spec.name))
      return `missing input "${spec.name}"; expected ${describeAll(specs)}`;
  }
  return undefined;
}

/** The first requested output that the model does not have, or undefined. */
export function checkOutputs(names: readonly string[], specs: readonly TensorSpec[]): string | undefined {
  for (const [index, name] of names.entries()) {
    if (!specs.some((spec) => spec.name === name))
      return `unexpected output "${name}"; the model has ${describeAll(specs)}`;
    if (names.indexOf(name) !== index) return `output "${name}" is requested twice`;
  }
  return undefined;
}

function describeAll(specs: readonly TensorSpec[]): string {
  return specs.map((spec) => `"${spec.name}" ${describeSpec(spec)}`).join(", ");
}

function checkTensor(input: Tensor, spec: TensorSpec): string | undefined {
  if (input.datatype !== spec.datatype)
    return `input "${input.name}": expected datatype ${spec.datatype}, got ${input.datatype}`;
  if (!input.shape.every((dimension) => Number.isSafeInteger(dimension) && dimension >= 0))
    return `input "${input.name}": expected dimensions of at least 0, got [${input.shape.join(",")}]`;
  const sameRank = input.shape.length === spec.shape.length;
  if (!sameRank || !spec.shape.every((size, index) => size < 0 || size === input.shape[index]))
    return `input "${input.name}": expected shape [${spec.shape.join(",")}], got [${input.shape.join(",")}]`;
  return checkLength(input);
}

function checkLength({ name, datatype, shape, data }: Tensor): string | undefined {
  const elements = elementCount(shape);
  const size = datatypeBytes[datatype];
  if (size > 0)
    return data.length === elements * size
      ? undefined
      : `input "${name}": expected ${elements * size} bytes for ${datatype} [${shape.join(",")}], got ${data.length}`;
  const count = countBytesElements(data);
  if (count === undefined)
    return `input "${name}": expected each BYTES element to start with its length in 4 bytes; the lengths do not add up`;
  return count === elements
    ? undefined
    : `input "${name}": expected ${elements} elements for BYTES [${shape.join(",")}], got ${count}`;
}
