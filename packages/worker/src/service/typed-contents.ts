/** Typed tensor contents of KServe v2 to raw little-endian bytes: what clients without raw contents send. */
import type { inference } from "@spillway/protocol";
import type { Datatype } from "../tensor.ts";
import { bytesOf, encodeBytesElements } from "../tensor.ts";

type Contents = inference.InferTensorContents.$Properties;

/** The array of the message that carries each datatype; FP16 and BF16 travel raw only. */
const fields = {
  BOOL: "boolContents",
  INT8: "intContents",
  INT16: "intContents",
  INT32: "intContents",
  INT64: "int64Contents",
  UINT8: "uintContents",
  UINT16: "uintContents",
  UINT32: "uintContents",
  UINT64: "uint64Contents",
  FP16: undefined,
  BF16: undefined,
  FP32: "fp32Contents",
  FP64: "fp64Contents",
  BYTES: "bytesContents",
} as const satisfies Record<Datatype, keyof Contents | undefined>;

const integerArrays = {
  INT8: Int8Array,
  INT16: Int16Array,
  INT32: Int32Array,
  UINT8: Uint8Array,
  UINT16: Uint16Array,
  UINT32: Uint32Array,
} as const;

/** The bytes of a tensor given in typed arrays, or a sentence that says what does not fit. */
export function rawFromTyped(name: string, datatype: Datatype, contents: Contents): Uint8Array | string {
  const field = fields[datatype];
  if (field === undefined) return `input "${name}": ${datatype} is sent in raw_input_contents only`;
  for (const [other, values] of Object.entries(contents)) {
    if (other !== field && Array.isArray(values) && values.length > 0)
      return `input "${name}": expected ${toSnake(field)} for ${datatype}, got ${toSnake(other)}`;
  }
  return convert(name, datatype, contents);
}

function convert(name: string, datatype: Datatype, contents: Contents): Uint8Array | string {
  switch (datatype) {
    case "BOOL":
      return Uint8Array.from(contents.boolContents ?? [], Number);
    case "FP32":
      return bytesOf(Float32Array.from(contents.fp32Contents ?? []));
    case "FP64":
      return bytesOf(Float64Array.from(contents.fp64Contents ?? []));
    case "INT64":
      return bytesOf(BigInt64Array.from(contents.int64Contents ?? [], BigInt));
    case "UINT64":
      return bytesOf(BigUint64Array.from(contents.uint64Contents ?? [], BigInt));
    case "BYTES":
      return encodeBytesElements(contents.bytesContents ?? []);
    case "FP16":
    case "BF16":
      return new Uint8Array();
    default:
      return convertIntegers(name, datatype, contents);
  }
}

/** Narrow integers travel as 32 bits; a value outside the datatype is refused rather than cut off. */
function convertIntegers(
  name: string,
  datatype: keyof typeof integerArrays,
  contents: Contents,
): Uint8Array | string {
  const values = (datatype.startsWith("U") ? contents.uintContents : contents.intContents) ?? [];
  const array = integerArrays[datatype].from(values);
  const bad = values.findIndex((value, index) => array[index] !== value);
  return bad < 0
    ? bytesOf(array)
    : `input "${name}": ${values[bad]} at place ${bad} does not fit ${datatype}`;
}

function toSnake(field: string): string {
  return field.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
