/** Headers as Envoy sends them: one string for the whole block, of which names and values are parts. */
import type { HeaderMap } from "../../core/headers.ts";
import { WireError, type WireCursor } from "./wire-cursor.ts";

const headerTag = 0x0a;
const keyTag = 0x0a;
const valueTag = 0x12;
const rawValueTag = 0x1a;

/** Names met before, by their hash, so that one costs no new string. */
const knownNames: (string | undefined)[] = Array.from({ length: 1_024 });
const longestKnownName = 64;

/**
 * Reads a `HeaderMap`. Names are put into lower case; of `value` and `raw_value` the latter counts; a repeated header
 * is a list. Throws a `WireError` for malformed bytes and for more than `maxHeaders`.
 */
export function readHeaders(cursor: WireCursor, maxHeaders: number): HeaderMap {
  const headers: Record<string, string | string[]> = {};
  const block = cursor.bytes.toString("latin1", cursor.at, cursor.end);
  const from = cursor.at;
  let count = 0;
  while (cursor.more) {
    const tag = cursor.varint();
    if (tag !== headerTag) {
      cursor.skip(tag);
      continue;
    }
    if (++count > maxHeaders) throw new WireError(`there are more than ${maxHeaders} headers`);
    readHeader(cursor, block, from, headers);
  }
  return headers;
}

function readHeader(
  cursor: WireCursor,
  block: string,
  from: number,
  headers: Record<string, string | string[]>,
): void {
  const { bytes } = cursor;
  const end = cursor.span();
  let name = "";
  let valueStart = 0;
  let valueEnd = 0;
  while (cursor.at < end) {
    const tag = cursor.varint();
    if (tag !== keyTag && tag !== valueTag && tag !== rawValueTag) {
      cursor.skip(tag);
      continue;
    }
    const fieldEnd = cursor.span();
    if (tag === keyTag) name = nameAt(bytes, block, { start: cursor.at, end: fieldEnd, from });
    else if (fieldEnd > cursor.at) {
      valueStart = cursor.at;
      valueEnd = fieldEnd;
    }
    cursor.at = fieldEnd;
  }
  if (cursor.at !== end) throw new WireError("a field is longer than its message");
  const value = isAscii(bytes, valueStart, valueEnd)
    ? block.slice(valueStart - from, valueEnd - from)
    : bytes.toString("utf8", valueStart, valueEnd);
  const present = headers[name];
  if (present === undefined) headers[name] = value;
  else if (typeof present === "string") headers[name] = [present, value];
  else present.push(value);
}

function isAscii(bytes: Buffer, start: number, end: number): boolean {
  let all = 0;
  for (let at = start; at < end; at++) all |= bytes[at] ?? 0;
  return all < 0x80;
}

/** The name in lower case. Those kept are strings of their own, which hold no message in memory. */
function nameAt(
  bytes: Buffer,
  block: string,
  { start, end, from }: { readonly start: number; readonly end: number; readonly from: number },
): string {
  let hash = end - start;
  for (let at = start; at < end; at++) hash = (hash * 31 + (bytes[at] ?? 0)) | 0;
  const place = hash & (knownNames.length - 1);
  const known = knownNames[place];
  if (known !== undefined && known.length === end - start && block.startsWith(known, start - from))
    return known;
  const name = bytes.toString("latin1", start, end).toLowerCase();
  if (name.length <= longestKnownName) knownNames[place] = name;
  return name;
}
