/**
 * Reads the HTTP form of a v2 inference request: JSON alone, or JSON followed by the bytes of the
 * tensors that have a `binary_data_size` (the binary tensor data extension).
 * Source: https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md
 */
import { isDatatype, type Datatype } from "@spillway/protocol/tensors";
import { failure, isFailure, type Failure } from "../../core/errors.ts";
import type { Tensor } from "../../core/tensor.ts";
import { parseJson, parseJsonExactly } from "../json/parse-json.ts";
import type { JsonLimits } from "../json/scan-json.ts";
import { quoted, shown } from "../tensors/describe.ts";
import { maxRank, packValues } from "../tensors/pack-values.ts";
import {
  defaultInferParameters,
  type InferBody,
  type InferParameters,
  type WantedOutput,
} from "./infer-body.ts";
import { readInferParameters, refusedParameter, wantedOutput, type ParameterMap } from "./read-parameters.ts";

/** A body and where its JSON ends. */
export interface InferBytes {
  readonly body: Uint8Array;
  /** Length of the JSON; the whole body where the header does not say. */
  readonly jsonLength: number;
}

type JsonObject = Readonly<Record<string, unknown>>;

/** Where the reading is. */
interface Cursor {
  readonly body: Uint8Array;
  /** Start of the next binary tensor. */
  offset: number;
  /** Set when an integer beyond ±2^53 was rounded on the way. */
  lostDigits: boolean;
}

/** Most inputs or outputs one request may name. */
const maxTensors = 1024;

const noParameters: ParameterMap = {};

/** Reads a request. Binary tensors are views into the body. */
export function readInferBody(bytes: InferBytes, limits: JsonLimits): InferBody | Failure {
  const { body, jsonLength } = bytes;
  const json = jsonLength === body.length ? body : body.subarray(0, jsonLength);
  const parsed = parseJson(json, limits);
  if (isFailure(parsed)) return parsed;
  const cursor: Cursor = { body, offset: jsonLength, lostDigits: false };
  const request = readRequest(parsed.value, cursor);
  if (!cursor.lostDigits) return request;
  return readRequest(parseJsonExactly(json), { body, offset: jsonLength, lostDigits: false });
}

function readRequest(value: unknown, cursor: Cursor): InferBody | Failure {
  if (!isObject(value)) return bad(`Expected a JSON object with "inputs", got ${shown(value)}`);
  const id = value.id ?? undefined;
  if (id !== undefined && typeof id !== "string") return bad(`"id": expected a string, got ${shown(id)}`);
  const parameters = readRequestParameters(value);
  if (isFailure(parameters)) return parameters;
  const inputs = readInputs(value.inputs, cursor);
  if (!Array.isArray(inputs)) return inputs;
  if (cursor.offset !== cursor.body.length)
    return bad(
      `${cursor.body.length - cursor.offset} bytes follow the last input that has a "binary_data_size"`,
    );
  const outputs =
    value.outputs === undefined || value.outputs === null ? undefined : readOutputs(value.outputs);
  if (outputs !== undefined && !Array.isArray(outputs)) return outputs;
  return { id, parameters, inputs, outputs };
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function bad(text: string): Failure {
  return failure("bad_request", text);
}

/** The `parameters` of a request, input or output; undefined when they are no object. */
function parametersOf(holder: JsonObject): ParameterMap | undefined {
  const parameters = holder.parameters;
  if (parameters === undefined || parameters === null) return noParameters;
  return isObject(parameters) ? parameters : undefined;
}

function wrongParameters(holder: JsonObject, where: string): Failure {
  return bad(`${where}: expected an object in "parameters", got ${shown(holder.parameters)}`);
}

function readRequestParameters(request: JsonObject): InferParameters | Failure {
  const parameters = parametersOf(request);
  if (parameters === undefined) return wrongParameters(request, "Request");
  return parameters === noParameters ? defaultInferParameters : readInferParameters(parameters);
}

function readInputs(value: unknown, cursor: Cursor): Tensor[] | Failure {
  if (!Array.isArray(value) || value.length === 0)
    return bad(`Expected a list of tensors in "inputs", got ${shown(value)}`);
  if (value.length > maxTensors) return bad(`Expected at most ${maxTensors} inputs, got ${value.length}`);
  const inputs: Tensor[] = [];
  for (const item of value) {
    const input = readInput(item, cursor);
    if (isFailure(input)) return input;
    inputs.push(input);
  }
  return inputs;
}

function readInput(value: unknown, cursor: Cursor): Tensor | Failure {
  if (!isObject(value)) return bad(`"inputs": expected an object, got ${shown(value)}`);
  const name = value.name;
  if (typeof name !== "string" || name === "") return bad(`"inputs": expected a "name", got ${shown(name)}`);
  const datatype = value.datatype;
  if (typeof datatype !== "string" || !isDatatype(datatype))
    return failure(
      "invalid_tensor",
      `Input ${quoted(name)}: expected a v2 "datatype" such as FP32, got ${shown(datatype)}`,
    );
  const shape = value.shape;
  if (!isShape(shape))
    return failure(
      "invalid_tensor",
      `Input ${quoted(name)}: expected a list of whole numbers from 0 in "shape", got ${shownShapeValue(shape)}`,
    );
  const parameters = parametersOf(value);
  if (parameters === undefined) return wrongParameters(value, `Input ${quoted(name)}`);
  const data = readContents({ name, datatype, shape, parameters, values: value.data }, cursor);
  return data instanceof Uint8Array ? { name, datatype, shape, data } : data;
}

/** Whether a value is a shape: few dimensions, each a whole number from 0, their product not absurd. */
export function isShape(value: unknown): value is number[] {
  if (!Array.isArray(value) || value.length > maxRank) return false;
  let count = 1;
  for (const dimension of value as unknown[]) {
    if (!Number.isSafeInteger(dimension) || (dimension as number) < 0) return false;
    count *= dimension as number;
  }
  return Number.isSafeInteger(count);
}

function shownShapeValue(value: unknown): string {
  return Array.isArray(value) && value.length <= 16 ? `[${value.map(shown).join(",")}]` : shown(value);
}

interface InputParts {
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: number[];
  readonly parameters: ParameterMap;
  readonly values: unknown;
}

function readContents(input: InputParts, cursor: Cursor): Uint8Array | Failure {
  const { name, datatype, shape, parameters, values } = input;
  if (parameters !== noParameters) {
    const problem = refusedParameter(parameters);
    if (problem !== undefined) return problem;
    if (parameters.binary_data_size !== undefined) return takeBinary(input, cursor);
  }
  if ((datatype === "INT64" || datatype === "UINT64") && holdsRounded(values)) cursor.lostDigits = true;
  const contentType = parameters.content_type === "base64" ? "base64" : undefined;
  return packValues({ name, datatype, shape, contentType }, values);
}

/** Whether an integer too large for a double is among the values. */
function holdsRounded(values: unknown): boolean {
  const flat: unknown[] = Array.isArray(values) ? values.flat(maxRank) : [values];
  return flat.some((value) => Number.isInteger(value) && !Number.isSafeInteger(value));
}

/** The next bytes behind the JSON. */
function takeBinary({ name, parameters, values }: InputParts, cursor: Cursor): Uint8Array | Failure {
  const size = parameters.binary_data_size;
  if (!Number.isSafeInteger(size) || (size as number) < 0)
    return bad(`Input ${quoted(name)}: expected a whole number in "binary_data_size", got ${shown(size)}`);
  if (values !== undefined)
    return bad(`Input ${quoted(name)}: expected "data" or "binary_data_size", got both`);
  const end = cursor.offset + (size as number);
  if (end > cursor.body.length)
    return bad(
      `Input ${quoted(name)}: "binary_data_size" is ${String(size)}, but ${cursor.body.length - cursor.offset} bytes follow the JSON`,
    );
  const data = cursor.body.subarray(cursor.offset, end);
  cursor.offset = end;
  return data;
}

function readOutputs(value: unknown): WantedOutput[] | Failure {
  if (!Array.isArray(value)) return bad(`Expected a list in "outputs", got ${shown(value)}`);
  if (value.length > maxTensors) return bad(`Expected at most ${maxTensors} outputs, got ${value.length}`);
  const outputs: WantedOutput[] = [];
  for (const item of value) {
    const output = readOutput(item);
    if (isFailure(output)) return output;
    outputs.push(output);
  }
  return outputs;
}

function readOutput(value: unknown): WantedOutput | Failure {
  if (!isObject(value)) return bad(`"outputs": expected an object, got ${shown(value)}`);
  const name = value.name;
  if (typeof name !== "string" || name === "") return bad(`"outputs": expected a "name", got ${shown(name)}`);
  const parameters = parametersOf(value);
  if (parameters === undefined) return wrongParameters(value, `Output ${quoted(name)}`);
  return wantedOutput(name, parameters);
}
