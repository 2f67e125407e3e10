/** Walks the fields of a protobuf message without decoding it. */

/** Wire types of protobuf (https://protobuf.dev/programming-guides/encoding/). */
export const wireTypes = { varint: 0, fixed64: 1, lengthDelimited: 2, fixed32: 5 } as const;

/** A part of a message, by byte positions. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

/** A field: where its contents lie. */
export interface Field extends Span {
  readonly number: number;
  /** Wire type; the span is that of the contents. */
  readonly type: number;
}

/** Calls `visit` for every field until it gives back false or the framing breaks. */
export function eachField(bytes: Uint8Array, { from, to }: Span, visit: (field: Field) => boolean): void {
  for (let at = from; at < to;) {
    const tag = varint(bytes, at, to);
    const type = tag.value & 7;
    const start = tag.end;
    const length = type === wireTypes.lengthDelimited ? varint(bytes, start, to) : undefined;
    const first = length?.end ?? start;
    const last = length === undefined ? scalarEnd(bytes, { from: start, to }, type) : first + length.value;
    if (!(last <= to) || last <= at || !visit({ number: tag.value >>> 3, type, from: first, to: last }))
      return;
    at = last;
  }
}

/** End of a scalar field; NaN for wire types that messages of today do not have. */
function scalarEnd(bytes: Uint8Array, { from, to }: Span, type: number): number {
  if (type === wireTypes.varint) return varint(bytes, from, to).end;
  if (type === wireTypes.fixed64) return from + 8;
  return type === wireTypes.fixed32 ? from + 4 : Number.NaN;
}

/** A varint of up to ten bytes; only its lower 32 bits count. A cut one ends behind the message. */
function varint(
  bytes: Uint8Array,
  from: number,
  to: number,
): { readonly value: number; readonly end: number } {
  let value = 0;
  for (let at = from; at < to && at < from + 10; at++) {
    const byte = bytes[at] ?? 0;
    if (at - from < 5) value |= (byte & 127) << (7 * (at - from));
    if (byte < 128) return { value: value >>> 0, end: at + 1 };
  }
  return { value: 0, end: Number.NaN };
}
