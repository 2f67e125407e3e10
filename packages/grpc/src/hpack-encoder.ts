/**
 * Encoding of header blocks (RFC 7541): static table entries and literals, never the dynamic table and
 * no Huffman coding. Blocks are therefore independent of each other and may be encoded ahead of use.
 */
import { staticNameIndex, staticPairIndex } from "./hpack-table.ts";

/** Bytes that `encodeHeader` writes at most for one field. */
export function maxHeaderBytes(name: string, value: string): number {
  return name.length + value.length + 12;
}

/** Writes one field at `at` and gives the position after it. Both strings are latin1. */
export function encodeHeader(into: Buffer, at: number, name: string, value: string): number {
  const pair = staticPairIndex.get(`${name}\0${value}`);
  if (pair !== undefined) return encodeInteger(into, at, 0x80, 7, pair);
  const known = staticNameIndex.get(name);
  const next = encodeInteger(into, at, 0, 4, known ?? 0);
  return encodeString(into, known === undefined ? encodeString(into, next, name) : next, value);
}

/** A whole block. */
export function encodeHeaders(fields: readonly (readonly [name: string, value: string])[]): Buffer {
  const into = Buffer.allocUnsafe(
    fields.reduce((sum, [name, value]) => sum + maxHeaderBytes(name, value), 0),
  );
  let at = 0;
  for (const [name, value] of fields) at = encodeHeader(into, at, name, value);
  return into.subarray(0, at);
}

function encodeString(into: Buffer, at: number, text: string): number {
  const start = encodeInteger(into, at, 0, 7, text.length);
  return start + into.write(text, start, "latin1");
}

function encodeInteger(into: Buffer, at: number, pattern: number, prefixBits: number, value: number): number {
  const mask = (1 << prefixBits) - 1;
  if (value < mask) {
    into[at] = pattern | value;
    return at + 1;
  }
  into[at] = pattern | mask;
  let rest = value - mask;
  let next = at + 1;
  for (; rest > 127; rest >>>= 7) into[next++] = (rest & 127) | 128;
  into[next] = rest;
  return next + 1;
}
