/// <reference lib="esnext.float16" />
/** The two 16-bit floats: IEEE 754 binary16 and bfloat16, which is the upper half of a 32-bit float. */

/** The values of binary16 contents. Expects an even number of bytes. */
export function halfValues(data: Uint8Array): Float32Array {
  const aligned = data.byteOffset % 2 === 0 ? data : new Uint8Array(data);
  return Float32Array.from(new Float16Array(aligned.buffer, aligned.byteOffset, aligned.byteLength >> 1));
}

/** Binary16 contents of the values, each rounded to nearest even; beyond ±65,504 it becomes infinite. */
export function halfBytes(values: ArrayLike<number>): Uint8Array {
  return new Uint8Array(Float16Array.from(values).buffer);
}

/** The nearest binary16 value. */
export function roundToHalf(value: number): number {
  return Math.f16round(value);
}

const scratch = new DataView(new ArrayBuffer(4));

/** The upper 16 bits of the nearest bfloat16, ties to even. NaN stays NaN. */
function bfloatBits(value: number): number {
  scratch.setFloat32(0, value);
  const bits = scratch.getUint32(0);
  if (value !== value) return (bits >>> 16) | 0x40;
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}

/** The nearest bfloat16 value. */
export function roundToBfloat(value: number): number {
  scratch.setUint32(0, bfloatBits(value) << 16);
  return scratch.getFloat32(0);
}

/** The values of bfloat16 contents. Expects an even number of bytes. */
export function bfloatValues(data: Uint8Array): Float32Array {
  const bits = new Uint32Array(data.length >> 1);
  for (let i = 0; i < bits.length; i++)
    bits[i] = (((data[2 * i + 1] ?? 0) << 24) | ((data[2 * i] ?? 0) << 16)) >>> 0;
  return new Float32Array(bits.buffer);
}

/** bfloat16 contents of the values, each rounded to nearest even. */
export function bfloatBytes(values: ArrayLike<number>): Uint8Array {
  const data = new Uint8Array(values.length * 2);
  for (let i = 0; i < values.length; i++) {
    const bits = bfloatBits(values[i] ?? 0);
    data[2 * i] = bits & 0xff;
    data[2 * i + 1] = bits >>> 8;
  }
  return data;
}
