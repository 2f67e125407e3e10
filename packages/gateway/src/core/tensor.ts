/** Tensors as the Open Inference Protocol v2 names and lays them out: row-major, little-endian. */

/** Bytes of one element by datatype; 0 for BYTES, whose elements are a 32-bit length and that many bytes. */
export const datatypeBytes = {
  BOOL: 1,
  UINT8: 1,
  UINT16: 2,
  UINT32: 4,
  UINT64: 8,
  INT8: 1,
  INT16: 2,
  INT32: 4,
  INT64: 8,
  FP16: 2,
  BF16: 2,
  FP32: 4,
  FP64: 8,
  BYTES: 0,
} as const;

/** A v2 datatype name. */
export type Datatype = keyof typeof datatypeBytes;

/** True for the name of a v2 datatype. */
export function isDatatype(name: string): name is Datatype {
  return Object.hasOwn(datatypeBytes, name);
}

/** What a model declares of one input or output; -1 is a dimension of any size. */
export interface TensorSpec {
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: readonly number[];
  /** True for an input that a request may leave out. */
  readonly optional?: true;
}

/** A tensor with its raw contents. The bytes may be a view into a larger buffer and are not to be changed. */
export interface Tensor {
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

/** The number of elements of a shape; 1 for a scalar. */
export function elementCount(shape: readonly number[]): number {
  let count = 1;
  for (const dimension of shape) count *= dimension;
  return count;
}
