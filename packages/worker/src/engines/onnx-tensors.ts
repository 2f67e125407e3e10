/** Raw little-endian bytes to ONNX Runtime's tensors and back. Nothing is copied where the bytes are aligned. */
import type { InferenceSession, OnnxValue, Tensor as OrtTensor } from "onnxruntime-node";
import { Tensor as OrtTensorClass } from "onnxruntime-node";
import { bytesOf, decodeBytesElements, encodeBytesElements, type Datatype } from "@spillway/protocol/tensors";
import type { Tensor, TensorSpec } from "../tensor.ts";

/** ONNX Runtime's names of the v2 datatypes. BF16 has none: such a model cannot be loaded. */
const ortTypes = {
  BOOL: "bool",
  UINT8: "uint8",
  UINT16: "uint16",
  UINT32: "uint32",
  UINT64: "uint64",
  INT8: "int8",
  INT16: "int16",
  INT32: "int32",
  INT64: "int64",
  FP16: "float16",
  FP32: "float32",
  FP64: "float64",
  BYTES: "string",
} as const satisfies Partial<Record<Datatype, OrtTensor.Type>>;

type OrtDatatype = keyof typeof ortTypes;

const datatypes = new Map<string, OrtDatatype>(
  Object.entries(ortTypes).map(([datatype, type]) => [type, datatype as OrtDatatype]),
);

/** Arrays over raw bytes by datatype. Half floats travel as their 16 bits. */
const arrays = {
  BOOL: Uint8Array,
  UINT8: Uint8Array,
  UINT16: Uint16Array,
  UINT32: Uint32Array,
  UINT64: BigUint64Array,
  INT8: Int8Array,
  INT16: Int16Array,
  INT32: Int32Array,
  INT64: BigInt64Array,
  FP16: Uint16Array,
  FP32: Float32Array,
  FP64: Float64Array,
} as const;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** What ONNX Runtime tells of an input or output; undefined for one that is no tensor (a map, a sequence). */
export function toSpec(metadata: InferenceSession.ValueMetadata): TensorSpec | undefined {
  if (!metadata.isTensor) return undefined;
  const datatype = datatypes.get(metadata.type);
  if (datatype === undefined)
    throw new Error(`"${metadata.name}" has the type ${metadata.type}, which is not supported`);
  const shape = metadata.shape.map((dimension) => (typeof dimension === "number" ? dimension : -1));
  return { name: metadata.name, datatype, shape };
}

/** A tensor for ONNX Runtime. The bytes are viewed in place where their offset suits the datatype, else copied. */
export function toOrt(tensor: Tensor): OrtTensor {
  const datatype = tensor.datatype as OrtDatatype;
  if (datatype === "BYTES") {
    const elements = decodeBytesElements(tensor.data) ?? [];
    const texts = elements.map((element) => decoder.decode(element));
    return new OrtTensorClass("string", texts, tensor.shape);
  }
  const View = arrays[datatype];
  const { data } = tensor;
  const aligned = data.byteOffset % View.BYTES_PER_ELEMENT === 0 ? data : new Uint8Array(data);
  const values = new View(
    aligned.buffer as ArrayBuffer,
    aligned.byteOffset,
    aligned.byteLength / View.BYTES_PER_ELEMENT,
  );
  if (datatype === "FP16") return halfFloats(values, tensor.shape);
  return new OrtTensorClass(ortTypes[datatype], values as Float32Array, tensor.shape);
}

/**
 * ONNX Runtime's own class would turn 16-bit values into a Float16Array, which its native part takes
 * for an empty one; the native part only reads these four properties.
 */
function halfFloats(data: ArrayBufferView, dims: readonly number[]): OrtTensor {
  return { type: "float16", data, dims, location: "cpu" } as unknown as OrtTensor;
}

/** A result of ONNX Runtime with its bytes in place. */
export function fromOrt(name: string, value: OnnxValue): Tensor {
  const datatype = datatypes.get(value.type);
  if (datatype === undefined)
    throw new Error(`output "${name}" has the type ${value.type}, which is not supported`);
  const data = Array.isArray(value.data)
    ? encodeBytesElements(value.data.map((text) => encoder.encode(text)))
    : bytesOf(value.data);
  return { name, datatype, shape: value.dims, data };
}
