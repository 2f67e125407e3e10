/** The typed form of tensors (`InferTensorContents`): which field carries which datatype, and the raw bytes of it. */
import type { inference } from "./gen/protocol.js";
import { bytesOf, encodeBytesElements, type Datatype } from "./tensors.ts";

/** Which field of `InferTensorContents` carries a datatype; undefined for the 16-bit floats, which are only ever raw. */
export const contentsField = {
  BOOL: "boolContents",
  INT8: "intContents",
  INT16: "intContents",
  INT32: "intContents",
  INT64: "int64Contents",
  UINT8: "uintContents",
  UINT16: "uintContents",
  UINT32: "uintContents",
  UINT64: "uint64Contents",
  FP32: "fp32Contents",
  FP64: "fp64Contents",
  BYTES: "bytesContents",
  FP16: undefined,
  BF16: undefined,
} as const satisfies Record<Datatype, keyof inference.InferTensorContents.$Properties | undefined>;

/**
 * Lays the values out row-major and little-endian. Integers that do not fit a narrow datatype are cut to its bits: who
 * does not trust the sender checks them first. Throws an Error for FP16 and BF16, which have no typed form.
 */
export function rawContents(
  datatype: Datatype,
  contents: inference.InferTensorContents.$Properties,
): Uint8Array {
  if (datatype === "BYTES") return encodeBytesElements(contents.bytesContents ?? []);
  return bytesOf(typedArray(datatype, contents));
}

function typedArray(
  datatype: Datatype,
  contents: inference.InferTensorContents.$Properties,
): ArrayBufferView {
  switch (datatype) {
    case "BOOL":
      return Uint8Array.from(contents.boolContents ?? [], Number);
    case "UINT8":
      return Uint8Array.from(contents.uintContents ?? []);
    case "UINT16":
      return Uint16Array.from(contents.uintContents ?? []);
    case "UINT32":
      return Uint32Array.from(contents.uintContents ?? []);
    case "UINT64":
      return BigUint64Array.from(contents.uint64Contents ?? []);
    case "INT8":
      return Int8Array.from(contents.intContents ?? []);
    case "INT16":
      return Int16Array.from(contents.intContents ?? []);
    case "INT32":
      return Int32Array.from(contents.intContents ?? []);
    case "INT64":
      return BigInt64Array.from(contents.int64Contents ?? []);
    case "FP32":
      return Float32Array.from(contents.fp32Contents ?? []);
    case "FP64":
      return Float64Array.from(contents.fp64Contents ?? []);
    default:
      throw new Error(`${datatype} contents must be raw`);
  }
}
