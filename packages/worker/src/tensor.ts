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
}

/** A tensor with its raw contents. The bytes may be a view into a larger buffer and are not to be changed. */
export interface Tensor extends TensorSpec {
  readonly data: Uint8Array;
}

/** The number of elements of a shape; 1 for a scalar. */
export function elementCount(shape: readonly number[]): number {
  let count = 1;
  for (const dimension of shape) count *= dimension;
  return count;
}

/** `FP32 [-1,4]`: how messages show a tensor's type. */
export function describeSpec(spec: Pick<TensorSpec, "datatype" | "shape">): string {
  return `${spec.datatype} [${spec.shape.join(",")}]`;
}

/** The bytes behind any typed array, without a copy. */
export function bytesOf(view: ArrayBufferView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
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

/** The elements of BYTES contents as views, or undefined when the lengths do not add up. */
export function decodeBytesElements(data: Uint8Array): Uint8Array[] | undefined {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const elements: Uint8Array[] = [];
  for (let offset = 0; offset < data.length;) {
    if (offset + 4 > data.length) return undefined;
    const start = offset + 4;
    const end = start + view.getUint32(offset, true);
    if (end > data.length) return undefined;
    elements.push(data.subarray(start, end));
    offset = end;
  }
  return elements;
}

/** How many elements BYTES contents hold, or undefined when the lengths do not add up. */
export function countBytesElements(data: Uint8Array): number | undefined {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  let count = 0;
  let offset = 0;
  while (offset + 4 <= data.length) {
    offset += 4 + view.getUint32(offset, true);
    count++;
  }
  return offset === data.length ? count : undefined;
}

/** BYTES contents from their elements: each a 32-bit little-endian length and the bytes. */
export function encodeBytesElements(elements: readonly Uint8Array[]): Uint8Array {
  let size = 0;
  for (const element of elements) size += 4 + element.length;
  const data = new Uint8Array(size);
  const view = new DataView(data.buffer);
  let offset = 0;
  for (const element of elements) {
    view.setUint32(offset, element.length, true);
    data.set(element, offset + 4);
    offset += 4 + element.length;
  }
  return data;
}
