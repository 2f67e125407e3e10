/**
 * Tensors as the Open Inference Protocol v2 names and lays them out: row-major, little-endian. Nothing is imported, so
 * that whoever handles tensors can use it without the message classes.
 * https://github.com/kserve/open-inference-protocol (specification/protocol/inference_rest.md, open_inference_grpc.proto)
 */

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

/** Smallest and largest value of the integer types of up to 32 bits. */
export const integerRanges = {
  UINT8: [0, 0xff],
  INT8: [-0x80, 0x7f],
  UINT16: [0, 0xffff],
  INT16: [-0x8000, 0x7fff],
  UINT32: [0, 0xffff_ffff],
  INT32: [-0x8000_0000, 0x7fff_ffff],
} as const;

/** Smallest and largest value of the 64-bit integer types. */
export const wideRanges = {
  INT64: [-(2n ** 63n), 2n ** 63n - 1n],
  UINT64: [0n, 2n ** 64n - 1n],
} as const;

/** The number of elements of a shape; 1 for a scalar. */
export function elementCount(shape: readonly number[]): number {
  let count = 1;
  for (const dimension of shape) count *= dimension;
  return count;
}

/** The bytes behind any typed array, without a copy. */
export function bytesOf(view: ArrayBufferView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

/** The elements of BYTES contents as views, or undefined when the lengths do not add up. */
export function decodeBytesElements(data: Uint8Array): Uint8Array[] | undefined {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const elements: Uint8Array[] = [];
  for (let offset = 0; offset < data.length;) {
    if (offset + 4 > data.length) return undefined;
    const start = offset + 4;
    offset = start + view.getUint32(offset, true);
    if (offset > data.length) return undefined;
    elements.push(data.subarray(start, offset));
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
  const data = unwritten(size);
  const view = new DataView(data.buffer);
  let offset = 0;
  for (const element of elements) {
    view.setUint32(offset, element.length, true);
    data.set(element, offset + 4);
    offset += 4 + element.length;
  }
  return data;
}

/** Memory of its own for bytes that are all written next: zeros before them would cost as much as the bytes. */
function unwritten(bytes: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.allocUnsafeSlow(bytes).buffer);
}
