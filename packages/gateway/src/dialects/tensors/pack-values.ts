/** JSON values, nested or flat, laid out as the raw contents of a tensor. */
import {
  bytesOf,
  elementCount,
  encodeBytesElements,
  integerRanges,
  wideRanges,
  type Datatype,
} from "@spillway/protocol/tensors";
import { failure, type Failure } from "../../core/errors.ts";
import { quoted, shown, shownShape } from "./describe.ts";
import { bfloatBytes, halfBytes, roundToBfloat, roundToHalf } from "./half.ts";

/** Deeper shapes than any model has are refused before anything is walked. */
export const maxRank = 32;

/** What the values are to become. */
export interface PackTarget {
  /** For messages. */
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: readonly number[];
  /** `base64`: BYTES strings are encoded so. An object `{"b64": "…"}` is understood in any case. */
  readonly contentType?: string | undefined;
}

/** Raw contents of the values. They may be flat, or nested exactly like the shape. */
export function packValues(target: PackTarget, data: unknown): Uint8Array | Failure {
  const flat = flatten(target, data);
  if (!Array.isArray(flat)) return flat;
  return packFlat(target, flat);
}

/** Raw contents of values that are already flat and as many as the shape says. */
export function packFlat(target: PackTarget, values: ArrayLike<unknown>): Uint8Array | Failure {
  switch (target.datatype) {
    case "FP32":
      return packFloat32(target, values);
    case "FP64":
      return packFloats(target, values, { round: (value) => value, toBytes: bytesOf });
    case "FP16":
      return packFloats(target, values, { round: roundToHalf, toBytes: halfBytes });
    case "BF16":
      return packFloats(target, values, { round: roundToBfloat, toBytes: bfloatBytes });
    case "BOOL":
      return packBooleans(target, values);
    case "BYTES":
      return packTexts(target, values);
    case "INT64":
    case "UINT64":
      return packWide(target, values, target.datatype);
    case "INT8":
    case "UINT8":
    case "INT16":
    case "UINT16":
    case "INT32":
    case "UINT32":
      return packIntegers(target, values, target.datatype);
  }
}

function flatten(target: PackTarget, data: unknown): unknown[] | Failure {
  const { name, shape } = target;
  const values: unknown = shape.length === 0 && !Array.isArray(data) ? [data] : data;
  if (!Array.isArray(values))
    return failure(
      "invalid_tensor",
      `Input ${quoted(name)}: expected an array in "data", got ${shown(data)}`,
    );
  if (shape.length > 1 && Array.isArray(values[0])) {
    const problem = nestingProblem(target, values, 0);
    return problem ?? (values.flat(shape.length - 1) as unknown[]);
  }
  const count = elementCount(shape);
  if (values.length === count) return values as unknown[];
  return failure(
    "invalid_tensor",
    `Input ${quoted(name)}: shape ${shownShape(shape)} needs ${count} values in "data", got ${values.length}`,
  );
}

/** Checks the length of every array down to the last dimension. `maxRank` bounds the recursion. */
function nestingProblem(target: PackTarget, values: unknown, depth: number): Failure | undefined {
  const { name, shape } = target;
  if (!Array.isArray(values) || values.length !== shape[depth])
    return failure(
      "invalid_tensor",
      `Input ${quoted(name)}: "data" is not nested like shape ${shownShape(shape)}: expected an array of ${shape[depth]} at depth ${depth + 1}, got ${shown(values)}`,
    );
  if (depth === shape.length - 1) return undefined;
  for (const inner of values) {
    const problem = nestingProblem(target, inner, depth + 1);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function wrong({ name, datatype }: PackTarget, index: number, value: unknown, expected: string): Failure {
  return failure(
    "invalid_tensor",
    `Input ${quoted(name)}: expected ${expected} for ${datatype} at element ${index}, got ${shown(value)}`,
  );
}

/** The largest double that rounds to a finite 32-bit float. */
const maxFloat32 = 3.4028235677973362e38;

/** The hot one: most tensors are 32-bit floats. */
function packFloat32(target: PackTarget, values: ArrayLike<unknown>): Uint8Array | Failure {
  const floats = new Float32Array(values.length);
  for (let i = 0; i < floats.length; i++) {
    const value = values[i];
    if (typeof value !== "number" || value > maxFloat32 || value < -maxFloat32)
      return wrong(target, i, value, "a number within range");
    floats[i] = value;
  }
  return new Uint8Array(floats.buffer);
}

interface FloatKind {
  readonly round: (value: number) => number;
  readonly toBytes: (numbers: Float64Array) => Uint8Array;
}

function packFloats(target: PackTarget, values: ArrayLike<unknown>, kind: FloatKind): Uint8Array | Failure {
  const numbers = new Float64Array(values.length);
  for (let i = 0; i < numbers.length; i++) {
    const value = values[i];
    if (typeof value !== "number" || !Number.isFinite(kind.round(value)))
      return wrong(target, i, value, "a number within range");
    numbers[i] = value;
  }
  return kind.toBytes(numbers);
}

const integerArrays = {
  INT8: Int8Array,
  UINT8: Uint8Array,
  INT16: Int16Array,
  UINT16: Uint16Array,
  INT32: Int32Array,
  UINT32: Uint32Array,
} as const;

function packIntegers(
  target: PackTarget,
  values: ArrayLike<unknown>,
  datatype: keyof typeof integerArrays,
): Uint8Array | Failure {
  const [min, max] = integerRanges[datatype];
  const integers = new integerArrays[datatype](values.length);
  for (let i = 0; i < integers.length; i++) {
    const value = values[i];
    if (typeof value !== "number" || value < min || value > max || value !== Math.trunc(value))
      return wrong(target, i, value, `a whole number from ${min} to ${max}`);
    integers[i] = value;
  }
  return new Uint8Array(integers.buffer);
}

/** Takes numbers up to ±2^53 and, where the reader kept all digits, bigints. */
function packWide(
  target: PackTarget,
  values: ArrayLike<unknown>,
  datatype: "INT64" | "UINT64",
): Uint8Array | Failure {
  const [min, max] = wideRanges[datatype];
  const integers = new BigInt64Array(values.length);
  for (let i = 0; i < integers.length; i++) {
    const value = values[i];
    const wide =
      typeof value === "bigint" ? value : Number.isSafeInteger(value) ? BigInt(value as number) : undefined;
    if (wide === undefined || wide < min || wide > max)
      return wrong(target, i, value, `a whole number from ${min} to ${max}`);
    integers[i] = wide;
  }
  return new Uint8Array(integers.buffer);
}

function packBooleans(target: PackTarget, values: ArrayLike<unknown>): Uint8Array | Failure {
  const bits = new Uint8Array(values.length);
  for (let i = 0; i < bits.length; i++) {
    const value = values[i];
    if (value === true || value === 1) bits[i] = 1;
    else if (value !== false && value !== 0) return wrong(target, i, value, "true or false");
  }
  return bits;
}

function packTexts(target: PackTarget, values: ArrayLike<unknown>): Uint8Array | Failure {
  const elements = Array<Uint8Array>(values.length);
  for (let i = 0; i < elements.length; i++) {
    const element = textElement(values[i], target.contentType === "base64");
    if (typeof element === "string") return wrong(target, i, values[i], element);
    elements[i] = element;
  }
  return encodeBytesElements(elements);
}

/** The bytes of one element, or what was expected. */
function textElement(value: unknown, allBase64: boolean): Uint8Array | string {
  const wrapped = typeof value === "object" && value !== null && "b64" in value;
  const text = wrapped ? value.b64 : value;
  if (typeof text !== "string") return 'a string or {"b64": "…"}';
  if (!wrapped && !allBase64) return Buffer.from(text, "utf8");
  return decodeBase64(text) ?? "base64";
}

const base64Pattern = /^[A-Za-z0-9+/_-]*={0,2}$/;

/** The bytes of a base64 text, in the plain or the URL alphabet; undefined when it is none. Line breaks are allowed. */
export function decodeBase64(text: string): Uint8Array | undefined {
  const compact = text.includes("\n") ? text.replaceAll(/[\r\n]/g, "") : text;
  if (!base64Pattern.test(compact) || compact.replace(/=+$/, "").length % 4 === 1) return undefined;
  return Buffer.from(compact, "base64");
}
