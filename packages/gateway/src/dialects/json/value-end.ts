/** Finds where a value of a JSON text ends without parsing it, in as many turns of the event loop as a large one takes. */

const quote = 0x22;
const backslash = 0x5c;
const openBrace = 0x7b;
const closeBrace = 0x7d;
const openBracket = 0x5b;
const closeBracket = 0x5d;

/** Bytes that are looked at in one turn of the event loop: about a millisecond, two where there are no strings. */
export const lookedAtInATurn = 524_288;

/** Bytes of a string that are looked at one by one before the rest is searched: a search costs as much as some dozens. */
const nearBytes = 64;

/** One search at a time, within one text. Agrees with `endOfValue`. */
export class ValueEnd {
  readonly #bytes: Uint8Array;
  #from = 0;
  #depth = 0;
  /** Where the content of the string begins that the search is in; -1: in none. */
  #string = -1;
  /** A quote at or behind `at` with none between, or any before it. */
  #quote = -1;
  /** How far the search is. */
  at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** Begins with the value at this place. */
  begin(from: number): void {
    this.#from = from;
    this.#depth = 0;
    this.#string = -1;
    this.#quote = -1;
    this.at = from;
  }

  /**
   * Behind the value; where it began, if there is none or it does not end; -1: the search has passed `limit` and
   * can go on. Strings without escapes are passed at once, however long.
   */
  find(limit: number): number {
    const bytes = this.#bytes;
    const first = bytes[this.#from];
    if (first !== quote && first !== openBrace && first !== openBracket) return this.#findScalar(limit);
    while (this.at < bytes.length) {
      if (this.#string >= 0) {
        if (!this.#passString(limit)) return -1;
        if (this.#depth === 0) return this.at;
      }
      if (this.at >= limit) return -1;
      if (this.#passNested(Math.min(limit, bytes.length))) return this.at;
    }
    return this.#from;
  }

  #findScalar(limit: number): number {
    const bytes = this.#bytes;
    const stop = Math.min(limit, bytes.length);
    while (this.at < stop && isScalar(bytes[this.at])) this.at++;
    return this.at === stop && stop < bytes.length ? -1 : this.at;
  }

  /** Goes on to the next string, to `stop`, or behind the end of the value: then true. */
  #passNested(stop: number): boolean {
    const bytes = this.#bytes;
    for (let i = this.at; i < stop; i++) {
      const byte = bytes[i];
      if (byte === quote) {
        this.#string = this.at = i + 1;
        return false;
      }
      if (byte === openBrace || byte === openBracket) this.#depth++;
      else if ((byte === closeBrace || byte === closeBracket) && --this.#depth === 0) {
        this.at = i + 1;
        return true;
      }
    }
    this.at = stop;
    return false;
  }

  /** False: the string goes on behind `limit`. Its escapes are passed byte by byte; where there are none it is searched at once. */
  #passString(limit: number): boolean {
    const bytes = this.#bytes;
    while (this.at < bytes.length) {
      if (this.#passNear(Math.min(this.at + nearBytes, bytes.length))) return true;
      if (this.at >= limit) return false;
      if (this.#quote < this.at) this.#quote = bytes.indexOf(quote, this.at);
      if (this.#quote < 0) break;
      const slashes = this.#slashesBefore(this.#quote);
      // Of so many one cannot tell yet whether the quote is escaped: they are passed first.
      if (slashes === nearBytes) continue;
      this.at = this.#quote + 1;
      if (slashes % 2 === 0) {
        this.#string = -1;
        return true;
      }
      if (this.at >= limit) return false;
    }
    // It does not end, and nor does the value.
    this.at = bytes.length;
    this.#depth = -1;
    this.#string = -1;
    return true;
  }

  /** Goes on to `stop`, or behind the end of the string: then true. */
  #passNear(stop: number): boolean {
    const bytes = this.#bytes;
    let at = this.at;
    while (at < stop) {
      const byte = bytes[at];
      at += byte === backslash ? 2 : 1;
      if (byte !== quote) continue;
      this.at = at;
      this.#string = -1;
      return true;
    }
    this.at = at;
    return false;
  }

  /** Backslashes that stand right before a place, up to `nearBytes`; none of them is itself escaped by what has been passed. */
  #slashesBefore(place: number): number {
    let slashes = 0;
    while (slashes < nearBytes && place - slashes > this.at && this.#bytes[place - slashes - 1] === backslash)
      slashes++;
    return slashes;
  }
}

/** Looks for the ends of values one after the other, and pauses after so many bytes. */
export class TurnedSearch {
  readonly #search: ValueEnd;
  #limit = lookedAtInATurn;

  constructor(bytes: Uint8Array) {
    this.#search = new ValueEnd(bytes);
  }

  /** As `endOfValue`. */
  *end(from: number): Generator<void, number> {
    const search = this.#search;
    search.begin(from);
    let end = search.find(this.#limit);
    while (end < 0 || search.at >= this.#limit) {
      yield;
      this.#limit = search.at + lookedAtInATurn;
      if (end < 0) end = search.find(this.#limit);
    }
    return end;
  }
}

/** Letters, digits, points and signs: of numbers, `true`, `false` and `null`. */
export function isScalar(byte: number | undefined): boolean {
  if (byte === undefined) return false;
  return (
    (byte >= 0x30 && byte <= 0x39) ||
    (byte >= 0x61 && byte <= 0x7a) ||
    byte === 0x2d ||
    byte === 0x2e ||
    byte === 0x2b ||
    byte === 0x45
  );
}
