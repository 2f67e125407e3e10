/** Changes values of a JSON text and leaves every other byte as it is. */

/** A text that takes the place of the bytes from `start` to before `end`. */
export interface Edit {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

/** Bytes of a request: `body`, and behind it `rest`, where they are too many to be joined on the event loop. */
export interface EditedBody {
  readonly body: Uint8Array;
  readonly rest?: readonly Uint8Array[];
}

/** A body of more bytes is not joined. */
const joinedBytes = 262_144;

/** The bytes with the edits made, which do not overlap. The bytes themselves are shared, not copied, where they are many. */
export function editBody(bytes: Uint8Array, edits: readonly Edit[]): EditedBody {
  const parts: Uint8Array[] = [];
  let at = 0;
  for (const { start, end, text } of edits.toSorted((a, b) => a.start - b.start)) {
    parts.push(bytes.subarray(at, start), Buffer.from(text));
    at = end;
  }
  parts.push(bytes.subarray(at));
  if (bytes.length <= joinedBytes) return { body: Buffer.concat(parts) };
  const [body = bytes, ...rest] = parts;
  return { body, rest };
}
