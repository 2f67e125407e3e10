/** Walks the items of a JSON list, and the text in the content of a message, without parsing what it passes. */
import { asBuffer } from "../json/parse-json.ts";
import { MemberFinder } from "../json/member-spans.ts";
import type { TurnedSearch } from "../json/value-end.ts";
import { isFailure } from "../../core/errors.ts";
import { skipBlanks } from "../streams/key-finder.ts";

const quote = 0x22;
const comma = 0x2c;
const openBrace = 0x7b;
const openBracket = 0x5b;
const closeBracket = 0x5d;

/** The bytes from `start` to before `end`. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** True where a string begins. */
export function isString(bytes: Uint8Array, at: number): boolean {
  return bytes[at] === quote;
}

/** True where a list begins. */
export function isList(bytes: Uint8Array, at: number): boolean {
  return bytes[at] === openBracket;
}

/** Place of the first item of the list at `from`, or of its closing bracket. */
export function firstItem(bytes: Uint8Array, from: number): number {
  return skipBlanks(bytes, from + 1, bytes.length);
}

/** Place of the item behind the one that ends at `end`; -1: there is none, or the list is broken. */
export function nextItem(bytes: Uint8Array, end: number): number {
  const at = skipBlanks(bytes, end, bytes.length);
  return bytes[at] === comma ? skipBlanks(bytes, at + 1, bytes.length) : -1;
}

/** True for a list without items. */
export function isEmptyList(bytes: Uint8Array, { start }: Span): boolean {
  return bytes[firstItem(bytes, start)] === closeBracket;
}

const partFinder = new MemberFinder(["type", "text"]);

/** A text of a message: the whole of its content, or one of its parts. */
export interface TextSpan extends Span {
  /** Where the part begins, for one that is behind something else; the text itself where it is the whole content. */
  readonly part: number;
}

/** Parts that are looked at in one message. */
const maxParts = 4_096;

/** Parts of more bytes are looked into in turns. */
const largePart = 131_072;

/** The texts in a content: strings with their quotes. Parts that are none, and what is broken, are passed over. */
export function* textsOf(
  bytes: Uint8Array,
  content: Span,
  { textPart, search }: { readonly textPart: string; readonly search: TurnedSearch },
): Generator<void, readonly TextSpan[]> {
  if (isString(bytes, content.start)) return [{ ...content, part: content.start }];
  if (!isList(bytes, content.start)) return [];
  const texts: TextSpan[] = [];
  let at = firstItem(bytes, content.start);
  for (let seen = 0; at >= 0 && at < content.end && seen < maxParts; seen++) {
    const end = yield* search.end(at);
    if (end <= at) break;
    const isObject = bytes[at] === openBrace;
    const text = isObject ? yield* textOfPart(bytes, { start: at, end }, textPart) : undefined;
    if (text !== undefined) texts.push(text);
    at = nextItem(bytes, end);
  }
  return texts;
}

function* textOfPart(
  bytes: Uint8Array,
  { start, end }: Span,
  textPart: string,
): Generator<void, TextSpan | undefined> {
  const part = bytes.subarray(start, end);
  const members = part.length > largePart ? yield* partFinder.findInTurns(part) : partFinder.find(part);
  // A part that says its text twice is shown as it stands: readers differ in which of them counts.
  if (isFailure(members)) return { start, end, part: start };
  const type = members.value(0);
  const at = members.start(1);
  // "text" is what other APIs call it too, and a part without a type is taken for one by some servers.
  if (at < 0 || (type !== undefined && type !== textPart && type !== "text")) return undefined;
  const text = { start: start + at, end: start + members.end(1), part: start };
  return isString(bytes, text.start) ? text : undefined;
}

/**
 * The text of a JSON string, at most so many of the bytes between its quotes; an escape or a character is not cut in two.
 * What is no JSON string is given as it stands.
 */
export function decodeText(bytes: Uint8Array, { start, end }: Span, maxBytes: number): string {
  const buffer = asBuffer(bytes);
  const from = start + 1;
  const to = Math.min(end - 1, from + maxBytes);
  const last = to < end - 1 ? wholeUpTo(buffer, from, to) : to;
  return unquoted(buffer.toString("utf8", from, last)) ?? buffer.toString("utf8", from, to);
}

/** Two escapes that make one character. */
const longestEscape = 12;

/** So far before the cut a blank is looked for, which is part of no escape. */
const nearCut = 256;

/** The last place up to `to` where neither a character nor an escape is cut; `to` where what stands there is no text. */
function wholeUpTo(buffer: Buffer, from: number, to: number): number {
  const blank = buffer.lastIndexOf(0x20, to - longestEscape - 1);
  const near = blank >= Math.max(from, to - nearCut) ? blank : from;
  for (let last = to; last >= Math.max(from, to - longestEscape); last--) {
    // The first byte that is left out begins a character.
    if (((buffer[last] ?? 0) & 0xc0) === 0x80) continue;
    const text = unquoted(buffer.toString("utf8", near, last));
    if (text !== undefined && !endsInHalf(text)) return last;
  }
  return to;
}

function unquoted(text: string): string | undefined {
  try {
    const value: unknown = JSON.parse(`"${text}"`);
    return typeof value === "string" ? value : undefined;
  } catch {
    return undefined;
  }
}

/** The first half of a character that takes two code units. */
function endsInHalf(text: string): boolean {
  const last = text.charCodeAt(text.length - 1);
  return last >= 0xd800 && last < 0xdc00;
}
