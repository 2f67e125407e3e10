/** Raw tensor contents as numbers, and the range of each integer type. */
import { datatypeBytes, type Datatype } from "@spillway/protocol/tensors";
import type { Tensor } from "../../core/tensor.ts";
import { bfloatValues, halfValues } from "./half.ts";

/** Datatypes whose every value is a double. */
export type NumericDatatype = Exclude<Datatype, "BYTES" | "INT64" | "UINT64">;

/** Contents as a sequence of numbers. */
export type NumberArray =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array;

type View = new (buffer: ArrayBufferLike, byteOffset: number, length: number) => NumberArray;

const viewTypes: Readonly<Record<Exclude<NumericDatatype, "FP16" | "BF16">, View>> = {
  BOOL: Uint8Array,
  UINT8: Uint8Array,
  INT8: Int8Array,
  UINT16: Uint16Array,
  INT16: Int16Array,
  UINT32: Uint32Array,
  INT32: Int32Array,
  FP32: Float32Array,
  FP64: Float64Array,
};

/** Contents whose start is aligned to the element: a view where it already is, else a copy. */
function aligned(data: Uint8Array, elementBytes: number): Uint8Array {
  return data.byteOffset % elementBytes === 0 ? data : new Uint8Array(data);
}

/** The values of a numeric tensor, without a copy where alignment allows. Expects whole elements. */
export function numbersOf(datatype: NumericDatatype, contents: Uint8Array): NumberArray {
  if (datatype === "FP16") return halfValues(contents);
  if (datatype === "BF16") return bfloatValues(contents);
  const bytes = datatypeBytes[datatype];
  const data = aligned(contents, bytes);
  return new viewTypes[datatype](data.buffer, data.byteOffset, data.byteLength / bytes);
}

/** The values of a 64-bit integer tensor. Expects whole elements. */
export function wideNumbersOf(
  datatype: "INT64" | "UINT64",
  contents: Uint8Array,
): BigInt64Array | BigUint64Array {
  const data = aligned(contents, 8);
  const { buffer, byteOffset } = data;
  const length = data.byteLength / 8;
  return datatype === "INT64"
    ? new BigInt64Array(buffer, byteOffset, length)
    : new BigUint64Array(buffer, byteOffset, length);
}

/** All values of a tensor as doubles; 64-bit integers beyond 2^53 are rounded. Undefined for BYTES and for contents that are no whole elements. */
export function roundedNumbers(tensor: Tensor): NumberArray | undefined {
  const { datatype, data } = tensor;
  if (datatype === "BYTES" || data.length % datatypeBytes[datatype] !== 0) return undefined;
  if (datatype !== "INT64" && datatype !== "UINT64") return numbersOf(datatype, data);
  return Float64Array.from(wideNumbersOf(datatype, data), Number);
}
