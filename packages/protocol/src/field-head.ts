/** Fields of messages that are written by hand, so that their bytes need not be joined. */

/**
 * Tag and length of a length-delimited field with a number below 16. The field's bytes follow it; fields may stand in
 * any order. https://protobuf.dev/programming-guides/encoding/
 */
export function fieldHead(field: number, bytes: number): Uint8Array {
  const head = [(field << 3) | 2];
  let rest = bytes;
  for (; rest > 127; rest = Math.floor(rest / 128)) head.push((rest % 128) | 128);
  head.push(rest);
  return Uint8Array.from(head);
}
