/** Typed tensor contents of a v2 message to raw bytes, for servers that do not answer raw. */
import type { inference } from "@spillway/protocol";
import type { Datatype } from "../core/tensor.ts";

/** The repeated fields of `InferTensorContents`. */
type Contents = inference.IInferTensorContents;

/** Lays the values out row-major and little-endian. Throws for FP16 and BF16, which have no typed form. */
export function rawContents(datatype: Datatype, contents: Contents): Uint8Array {
  if (datatype === "BYTES") return bytesContents(contents.bytesContents ?? []);
  return viewBytes(typedArray(datatype, contents));
}

function viewBytes(view: ArrayBufferView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

function typedArray(datatype: Datatype, contents: Contents): ArrayBufferView {
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

function bytesContents(elements: readonly Uint8Array[]): Uint8Array {
  const size = elements.reduce((sum, element) => sum + 4 + element.length, 0);
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  let offset = 0;
  for (const element of elements) {
    view.setUint32(offset, element.length, true);
    bytes.set(element, offset + 4);
    offset += 4 + element.length;
  }
  return bytes;
}
