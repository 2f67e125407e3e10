/** The parts of a body that a server's prefix cache depends on, as views. */
import type { MemberSpans } from "../json/member-spans.ts";

const blanks = new Set([0x20, 0x09, 0x0a, 0x0d]);
const quote = 0x22;
const closeBracket = 0x5d;

/**
 * The values of these members that the body has, in this order; the last named is the conversation. Of that one what
 * closes it is left out, so that a body whose conversation goes on begins with the same bytes.
 */
export function promptParts(spans: MemberSpans, members: readonly number[]): readonly Uint8Array[] {
  const parts: Uint8Array[] = [];
  const conversation = members.at(-1);
  for (const member of members) {
    const start = spans.start(member);
    if (start < 0) continue;
    const end = spans.end(member);
    parts.push(spans.bytes.subarray(start, member === conversation ? opened(spans.bytes, start, end) : end));
  }
  return parts;
}

/** Where a list's last item ends, or a text's last letter. */
function opened(bytes: Uint8Array, start: number, end: number): number {
  const last = bytes[end - 1];
  if (end - start < 2) return end;
  if (last === quote) return end - 1;
  if (last !== closeBracket) return end;
  let at = end - 1;
  while (at > start + 1 && blanks.has(bytes[at - 1] ?? 0)) at--;
  return at;
}
