/**
 * Finds members of JSON objects by name, at any depth, without parsing. A name in quotes before a
 * colon can stand nowhere else in valid JSON: inside of a string its quotes would be escaped. Finding
 * a name tells where its value begins; which object it belongs to is not told.
 */

const quote = 0x22;
const backslash = 0x5c;

/** Looks for a fixed set of names. One search at a time. */
export class KeyFinder {
  readonly #names: readonly Uint8Array[];
  /** First candidate by first letter, -1 for none, and the next candidate with the same letter. */
  readonly #first = new Int8Array(256).fill(-1);
  readonly #next: Int8Array;
  #bytes: Uint8Array = new Uint8Array(0);
  #at = 0;
  #end = 0;
  /** Where the value of the name found last begins. */
  valueAt = 0;

  /** At most 127 names, of ASCII without quotes and backslashes. */
  constructor(names: readonly string[]) {
    this.#names = names.map((name) => new Uint8Array(Buffer.from(name, "latin1")));
    this.#next = new Int8Array(names.length).fill(-1);
    for (const [index, name] of this.#names.entries()) {
      const letter = name[0] ?? 0;
      this.#next[index] = this.#first[letter] ?? -1;
      this.#first[letter] = index;
    }
  }

  /** Begins a search from `start` to before `end`. */
  begin(bytes: Uint8Array, start: number, end: number): void {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
  }

  /** Index of the next name found; -1: none; -2: the search has come to `limit` and can go on. The search goes on at its value. */
  next(limit = this.#end): number {
    const bytes = this.#bytes;
    const end = Math.min(this.#end, limit);
    for (let i = this.#at; i < end; i++) {
      if (bytes[i] !== quote) continue;
      let candidate = this.#first[bytes[i + 1] ?? 0] ?? -1;
      if (candidate < 0 || bytes[i - 1] === backslash) continue;
      for (; candidate >= 0; candidate = this.#next[candidate] ?? -1) {
        const value = this.#valueOf(candidate, i + 1);
        if (value < 0) continue;
        this.valueAt = this.#at = value;
        return candidate;
      }
    }
    this.#at = Math.max(this.#at, end);
    return this.#at < this.#end ? -2 : -1;
  }

  /** How far the search is. */
  get at(): number {
    return this.#at;
  }

  /** Goes on from here. */
  goOn(at: number): void {
    this.#at = at;
  }

  /** Goes on behind the string that begins at `valueAt`; gives back its length between the quotes in bytes. */
  skipString(): number {
    const end = endOfString(this.#bytes, this.valueAt + 1, this.#end);
    this.#at = end + 1;
    return end - this.valueAt - 1;
  }

  /** Where the candidate's value begins, if its name stands at `from`; else -1. */
  #valueOf(candidate: number, from: number): number {
    const bytes = this.#bytes;
    const name = this.#names[candidate] ?? bytes;
    for (let i = 1; i < name.length; i++) if (bytes[from + i] !== name[i]) return -1;
    let at = from + name.length;
    if (bytes[at] !== quote) return -1;
    at = skipBlanks(bytes, at + 1, this.#end);
    if (bytes[at] !== 0x3a) return -1;
    at = skipBlanks(bytes, at + 1, this.#end);
    return at < this.#end ? at : -1;
  }
}

/** Position of the quote that ends the string whose content begins at `from`; `end` where it does not end. */
export function endOfString(bytes: Uint8Array, from: number, end: number): number {
  // Short strings are quicker to walk than to search.
  const near = Math.min(end, from + 48);
  for (let i = from; i < near; i++) {
    const byte = bytes[i];
    if (byte === quote) return i;
    if (byte === backslash) i++;
    if (i >= near) return searchEnd(bytes, i + 1, { from, end });
  }
  return near === end ? end : searchEnd(bytes, near, { from, end });
}

/** A quote ends the string when an even number of backslashes stands before it. */
function searchEnd(bytes: Uint8Array, at: number, { from, end }: { from: number; end: number }): number {
  for (let found = bytes.indexOf(quote, at); found >= 0 && found < end;) {
    let slashes = 0;
    while (found - slashes > from && bytes[found - slashes - 1] === backslash) slashes++;
    if (slashes % 2 === 0) return found;
    found = bytes.indexOf(quote, found + 1);
  }
  return end;
}

/** First position from `at` on without a space, tab or line end; at most `end`. */
export function skipBlanks(bytes: Uint8Array, at: number, end: number): number {
  let i = at;
  while (i < end) {
    const byte = bytes[i];
    if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) break;
    i++;
  }
  return i;
}

/** The whole number at this position; 0 where there is none. */
export function readCount(bytes: Uint8Array, at: number): number {
  let count = 0;
  for (let i = at; ; i++) {
    const digit = (bytes[i] ?? 0) - 0x30;
    if (digit < 0 || digit > 9) return Number.isSafeInteger(count) ? count : 0;
    count = count * 10 + digit;
  }
}
