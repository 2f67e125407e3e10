/**
 * Finds members of a JSON text's outermost object without parsing it: where each value begins and
 * ends, so that it can be read, or replaced in place. One pass, every byte once.
 */
import { failure, type Failure } from "../../core/errors.ts";
import { endOfString, skipBlanks } from "../streams/key-finder.ts";
import { asBuffer } from "./parse-json.ts";
import { isScalar, TurnedSearch } from "./value-end.ts";

const quote = 0x22;
const comma = 0x2c;
const openBrace = 0x7b;
const closeBrace = 0x7d;
const openBracket = 0x5b;
const closeBracket = 0x5d;

/** Bytes of a value that is parsed on its own: names, numbers, options. A longer one is none of these. */
const longestValue = 65_536;

/** Bytes of a name in which every letter is escaped: no name looked for is longer. */
const longestName = 6 * 64;

/** Where the members looked for stand in one text. */
export class MemberSpans {
  readonly bytes: Uint8Array;
  readonly #spans: readonly number[];

  constructor(bytes: Uint8Array, spans: readonly number[]) {
    this.bytes = bytes;
    this.#spans = spans;
  }

  /** Where the value of the name with this index begins; -1: the object has no such member. */
  start(index: number): number {
    return this.#spans[index * 2] ?? -1;
  }

  /** Where the value ends. */
  end(index: number): number {
    return this.#spans[index * 2 + 1] ?? -1;
  }

  /** True where the value is this literal, byte for byte: `true`, `null`. */
  is(index: number, literal: string): boolean {
    const start = this.start(index);
    if (start < 0 || this.end(index) - start !== literal.length) return false;
    for (let i = 0; i < literal.length; i++) {
      if (this.bytes[start + i] !== literal.charCodeAt(i)) return false;
    }
    return true;
  }

  /** The value, parsed; undefined without the member, where it is no JSON, and where it is longer than `longestValue`. */
  value(index: number): unknown {
    const start = this.start(index);
    const end = this.end(index);
    if (start < 0 || end - start > longestValue) return undefined;
    const isPlain = this.bytes[start] === quote && !hasBackslash(this.bytes, start, end);
    const text = asBuffer(this.bytes).toString("utf8", isPlain ? start + 1 : start, isPlain ? end - 1 : end);
    if (isPlain) return text;
    try {
      return JSON.parse(text) as unknown;
    } catch {
      return undefined;
    }
  }
}

/**
 * Looks for members by name. A text whose outermost value is no object, or whose outline is broken, is
 * `invalid_json`; what lies inside of the values is left to whoever parses them. A name that stands
 * there twice, in whatever case, is refused: readers differ in which of them counts.
 */
export class MemberFinder {
  readonly #names: readonly string[];
  /** First candidate by first letter, -1 for none, and the next candidate with the same letter. */
  readonly #first = new Int8Array(256).fill(-1);
  readonly #next: Int8Array;

  /** At most 127 names, of ASCII in lower case. */
  constructor(names: readonly string[]) {
    this.#names = names;
    this.#next = new Int8Array(names.length).fill(-1);
    for (const [index, name] of names.entries()) {
      const letter = name.charCodeAt(0);
      this.#next[index] = this.#first[letter] ?? -1;
      this.#first[letter] = index;
    }
  }

  find(bytes: Uint8Array): MemberSpans | Failure {
    const outline = new Outline(bytes, this.#names);
    const end = bytes.length;
    while (outline.isAtName()) {
      const hasValue = outline.named(endOfString(bytes, outline.at + 1, end));
      if (hasValue)
        outline.valued(this.#indexOf(bytes, outline.from, outline.to), endOfValue(bytes, outline.at, end));
    }
    return outline.result();
  }

  /** The same for a large text, which gives the event loop a turn again and again. */
  *findInTurns(bytes: Uint8Array): Generator<void, MemberSpans | Failure> {
    const outline = new Outline(bytes, this.#names);
    const search = new TurnedSearch(bytes);
    while (outline.isAtName()) {
      const behind = yield* search.end(outline.at);
      const hasValue = outline.named(behind === outline.at ? bytes.length : behind - 1);
      if (hasValue) {
        const stop = yield* search.end(outline.at);
        outline.valued(this.#indexOf(bytes, outline.from, outline.to), stop);
      }
    }
    return outline.result();
  }

  /** Index of the name that stands there, whatever its case and escapes; -1 for another. */
  #indexOf(bytes: Uint8Array, from: number, to: number): number {
    if (to - from > longestName) return -1;
    if (hasBackslash(bytes, from, to)) {
      const written = Buffer.from(unescaped(asBuffer(bytes).toString("utf8", from, to)));
      return this.#indexOf(written, 0, hasBackslash(written, 0, written.length) ? 0 : written.length);
    }
    const letter = bytes[from] ?? 0;
    const lower = letter >= 0x41 && letter <= 0x5a ? letter + 32 : letter;
    let candidate = this.#first[lower] ?? -1;
    while (candidate >= 0 && !isNameAt(this.#names[candidate] ?? "", bytes, from, to)) {
      candidate = this.#next[candidate] ?? -1;
    }
    return candidate;
  }
}

/** The outermost object of a text, member by member. */
class Outline {
  readonly #bytes: Uint8Array;
  readonly #names: readonly string[];
  readonly #spans: number[] = [];
  #failure: Failure | undefined;
  /** The name found last, between its quotes. */
  from = 0;
  to = 0;
  /** Where a name, its value, or the end of the object is to be. */
  at: number;

  constructor(bytes: Uint8Array, names: readonly string[]) {
    this.#bytes = bytes;
    this.#names = names;
    for (let i = 0; i < names.length; i++) this.#spans.push(-1, -1);
    this.at = skipBlanks(bytes, 0, bytes.length);
    if (bytes[this.at] !== openBrace)
      this.#failure = failure("invalid_json", "The body is not a JSON object");
    else this.at = skipBlanks(bytes, this.at + 1, bytes.length);
  }

  /** False at the end of the object, and where it is broken. */
  isAtName(): boolean {
    const byte = this.#bytes[this.at];
    if (this.#failure !== undefined || byte === closeBrace) return false;
    if (byte !== quote) this.#failure = broken(this.at);
    return byte === quote;
  }

  /** The name ends at this quote. False where no value can follow. */
  named(end: number): boolean {
    const bytes = this.#bytes;
    this.from = this.at + 1;
    this.to = end;
    const colon = skipBlanks(bytes, end + 1, bytes.length);
    if (bytes[colon] === 0x3a) this.at = skipBlanks(bytes, colon + 1, bytes.length);
    else this.#failure = broken(colon);
    return this.#failure === undefined;
  }

  /** The value ends before `stop`; its name is the one with this index, -1: another. */
  valued(index: number, stop: number): void {
    const bytes = this.#bytes;
    if (stop <= this.at) return this.#break(this.at);
    if (index >= 0) {
      if ((this.#spans[index * 2] ?? -1) >= 0) {
        this.#failure = twice(this.#names[index] ?? "");
        return;
      }
      this.#spans[index * 2] = this.at;
      this.#spans[index * 2 + 1] = stop;
    }
    this.at = skipBlanks(bytes, stop, bytes.length);
    if (bytes[this.at] === comma) {
      this.at = skipBlanks(bytes, this.at + 1, bytes.length);
      if (bytes[this.at] === closeBrace) this.#break(this.at);
    } else if (bytes[this.at] !== closeBrace) this.#break(this.at);
  }

  result(): MemberSpans | Failure {
    if (this.#failure !== undefined) return this.#failure;
    const bytes = this.#bytes;
    const behind = skipBlanks(bytes, this.at + 1, bytes.length);
    return behind === bytes.length ? new MemberSpans(bytes, this.#spans) : broken(this.at + 1);
  }

  #break(at: number): void {
    this.#failure = broken(at);
  }
}

/** Compares without regard to case. The name is in lower case. */
function isNameAt(name: string, bytes: Uint8Array, from: number, to: number): boolean {
  if (name.length !== to - from) return false;
  for (let i = 0; i < name.length; i++) {
    const byte = bytes[from + i] ?? 0;
    const lower = byte >= 0x41 && byte <= 0x5a ? byte + 32 : byte;
    if (lower !== name.charCodeAt(i)) return false;
  }
  return true;
}

function hasBackslash(bytes: Uint8Array, from: number, to: number): boolean {
  for (let i = from; i < to; i++) if (bytes[i] === 0x5c) return true;
  return false;
}

function twice(name: string): Failure {
  return { ...failure("bad_request", `The body has the field ${name} twice`), field: name };
}

function unescaped(written: string): string {
  try {
    return String(JSON.parse(`"${written}"`));
  } catch {
    return written;
  }
}

function broken(at: number): Failure {
  return failure("invalid_json", `The body is not valid JSON at byte ${at}`);
}

/** Where the value that begins at `from` ends; `from` where there is none. */
export function endOfValue(bytes: Uint8Array, from: number, end: number): number {
  const first = bytes[from];
  if (first === quote) {
    const last = endOfString(bytes, from + 1, end);
    return last < end ? last + 1 : from;
  }
  if (first === openBrace || first === openBracket) return endOfNested(bytes, from, end);
  let at = from;
  while (at < end && isScalar(bytes[at])) at++;
  return at;
}

function endOfNested(bytes: Uint8Array, from: number, end: number): number {
  let depth = 0;
  for (let i = from; i < end; i++) {
    const byte = bytes[i];
    if (byte === quote) i = endOfString(bytes, i + 1, end);
    else if (byte === openBrace || byte === openBracket) depth++;
    else if ((byte === closeBrace || byte === closeBracket) && --depth === 0) return i + 1;
  }
  return from;
}
