/** Tensors as models take and give them. Their layout is the protocol's. */
import { bytesOf, type Datatype } from "@spillway/protocol/tensors";

/** What a model declares of one input or output; -1 is a dimension of any size. */
export interface TensorSpec {
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: readonly number[];
}

/** A tensor with its raw contents. The bytes may be a view into a larger buffer and are not to be changed. */
export interface Tensor extends TensorSpec {
  readonly data: Uint8Array;
}

/** `FP32 [-1,4]`: how messages show a tensor's type. */
export function describeSpec(spec: Pick<TensorSpec, "datatype" | "shape">): string {
  return `${spec.datatype} [${spec.shape.join(",")}]`;
}

/** A 32-bit float tensor over the given values, without a copy. */
export function floatTensor(name: string, shape: readonly number[], values: Float32Array): Tensor {
  return { name, datatype: "FP32", shape, data: bytesOf(values) };
}

/**
 * The values of a 32-bit float tensor: a view where the bytes are aligned to four, else a copy.
 * Expects a byte length that is a multiple of four.
 */
export function floatValues(data: Uint8Array): Float32Array {
  const aligned = data.byteOffset % 4 === 0 ? data : new Uint8Array(data);
  return new Float32Array(aligned.buffer, aligned.byteOffset, aligned.byteLength / 4);
}
