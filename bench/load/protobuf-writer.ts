/** Writes the few protobuf field kinds that requests and ONNX models need; the wire format of protobuf.dev. */

const VARINT = 0;
const LENGTH_DELIMITED = 2;
const FIXED32 = 5;

/** A base-128 varint of a whole number from 0 to 2^53. */
export function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 128) {
    bytes.push((rest % 128) | 128);
    rest = Math.floor(rest / 128);
  }
  bytes.push(rest);
  return Buffer.from(bytes);
}

/** A whole number, written also when it is 0. */
export function fieldVarint(field: number, value: number): Buffer {
  return Buffer.concat([tag(field, VARINT), varint(value)]);
}

/** Bytes or an embedded message. */
export function fieldBytes(field: number, bytes: Uint8Array): Buffer {
  return Buffer.concat([tag(field, LENGTH_DELIMITED), varint(bytes.length), bytes]);
}

/** A UTF-8 string. */
export function fieldString(field: number, text: string): Buffer {
  return fieldBytes(field, Buffer.from(text));
}

/** A packed repeated integer field. */
export function fieldVarints(field: number, values: readonly number[]): Buffer {
  return fieldBytes(field, Buffer.concat(values.map(varint)));
}

/** A packed repeated float field. */
export function fieldFloats(field: number, values: Float32Array): Buffer {
  const bytes = Buffer.allocUnsafe(values.length * 4);
  values.forEach((value, index) => bytes.writeFloatLE(value, index * 4));
  return fieldBytes(field, bytes);
}

/** A single float. */
export function fieldFloat(field: number, value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeFloatLE(value);
  return Buffer.concat([tag(field, FIXED32), bytes]);
}

function tag(field: number, wireType: number): Buffer {
  return varint(field * 8 + wireType);
}
