/** Writes the few protobuf field kinds that requests need; the wire format of protobuf.dev. */

const LENGTH_DELIMITED = 2;

/** Bytes or an embedded message. */
export function fieldBytes(field: number, bytes: Uint8Array): Buffer {
  return Buffer.concat([varint(field * 8 + LENGTH_DELIMITED), varint(bytes.length), bytes]);
}

/** A UTF-8 string. */
export function fieldString(field: number, text: string): Buffer {
  return fieldBytes(field, Buffer.from(text));
}

/** A packed repeated field of whole numbers from 0 to 2^53. */
export function fieldVarints(field: number, values: readonly number[]): Buffer {
  return fieldBytes(field, Buffer.concat(values.map(varint)));
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
  return Buffer.from([...bytes, rest]);
}
