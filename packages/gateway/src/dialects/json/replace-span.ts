/** Changes one value of a JSON text and leaves every other byte as it is. */

/** The bytes with those from `start` to before `end` replaced. */
export function replaceSpan(
  bytes: Uint8Array,
  { start, end }: { readonly start: number; readonly end: number },
  text: string,
): Uint8Array {
  return Buffer.concat([bytes.subarray(0, start), Buffer.from(text), bytes.subarray(end)]);
}
