/**
 * Reads single families off a page in Prometheus' text exposition format (0.0.4, and what OpenMetrics has in common
 * with it) without looking at the rest: a family is found by the system's own search for its name at the beginning of
 * a line. The format demands that all lines of a family stand together, so that reading ends behind them. A line
 * without its end is one that was cut, and says nothing.
 *
 * Pages begin with a line feed of their own, so that every line has one before it.
 */

const tab = 0x09;
const lineFeed = 0x0a;
const carriageReturn = 0x0d;
const space = 0x20;
const quote = 0x22;
const hash = 0x23;
const comma = 0x2c;
const equals = 0x3d;
const backslash = 0x5c;
const openBrace = 0x7b;
const closeBrace = 0x7d;

/** Series of one family that are read; further ones are left out. */
const maxSeries = 4_096;
/** How far a family may have moved towards the beginning of the page and still be found at once, bytes. */
const usualShift = 2_048;
/** Pages in a row without the family after which it is looked for on every tenth page alone. */
const missesBeforeRest = 10;
const restPages = 9;

/** One family on the pages of one server: remembers where it stood. */
export class FamilyPlace {
  readonly name: Buffer;
  readonly #needle: Buffer;
  #place = 0;
  #misses = 0;
  #rests = 0;

  constructor(name: string) {
    this.#needle = Buffer.from(`\n${name}`);
    this.name = this.#needle.subarray(1);
  }

  /** Where the name of its first series begins; -1 where the page has none, or it was long missing and rests. */
  find(page: Buffer): number {
    if (this.#rests > 0) {
      this.#rests--;
      return -1;
    }
    let at = this.#search(page, Math.max(0, this.#place - usualShift));
    if (this.#place > usualShift && (at < 0 || this.#isWithin(page, at))) at = this.#search(page, 0);
    if (at < 0) {
      this.#misses++;
      if (this.#misses >= missesBeforeRest) this.#rests = restPages;
      return -1;
    }
    this.#misses = 0;
    this.#place = at;
    return at;
  }

  #search(page: Buffer, from: number): number {
    const { length } = this.#needle;
    for (let at = page.indexOf(this.#needle, from); at >= 0; at = page.indexOf(this.#needle, at + 1)) {
      if (endsName(page[at + length])) return at + 1;
    }
    return -1;
  }

  /** True where the line before is one of the family as well. */
  #isWithin(page: Buffer, at: number): boolean {
    if (at < 2) return false;
    const before = page.lastIndexOf(lineFeed, at - 2);
    return before >= 0 && isSeriesOf(page, before + 1, this.name);
  }
}

function endsName(byte: number | undefined): boolean {
  return byte === openBrace || byte === space || byte === tab;
}

/** True where a line that begins at `at` is a series of the family. */
function isSeriesOf(page: Buffer, at: number, name: Buffer): boolean {
  if (!endsName(page[at + name.length])) return false;
  // The end of a name differs more often than its beginning.
  for (let index = name.length - 1; index >= 0; index--) if (page[at + index] !== name[index]) return false;
  return true;
}

/** Goes through the series of a family. One object serves for all: nothing is kept between two families. */
export class SeriesReader {
  /** The series' value; NaN also for what is no number. */
  value = Number.NaN;
  #page: Buffer = Buffer.alloc(0);
  #name: Buffer = Buffer.alloc(0);
  #next = -1;
  #left = 0;
  /** Behind the opening brace, and behind the closing one; -1 where the series has no labels. */
  #labels = -1;
  #labelsEnd = -1;
  #from = 0;
  #to = 0;
  #isEscaped = false;

  /** Begins with the series whose name stands at `at`. */
  begin(page: Buffer, name: Buffer, at: number): void {
    this.#page = page;
    this.#name = name;
    this.#next = at;
    this.#left = maxSeries;
  }

  /** Goes to the next series; false behind the last. */
  next(): boolean {
    const page = this.#page;
    while (this.#next >= 0 && this.#left-- > 0) {
      const start = this.#next;
      const end = page.indexOf(lineFeed, start);
      if (end < 0) return false;
      this.#next = this.#following(end + 1);
      let at = skipBlanks(page, start + this.#name.length);
      this.#labels = -1;
      if (page[at] === openBrace) {
        this.#labels = at + 1;
        at = skipLabels(page, at + 1, end);
        this.#labelsEnd = at;
        if (at < 0) continue;
      }
      this.value = readNumber(page, skipBlanks(page, at), end);
      return true;
    }
    return false;
  }

  /** Looks for a label of the series; what follows is about its value. False where the series has no such label. */
  findLabel(name: Buffer): boolean {
    const page = this.#page;
    const end = this.#labelsEnd - 1;
    for (let at = this.#labels; at >= 0 && at < end; at++) {
      while (isBlank(page[at]) || page[at] === comma) at++;
      const isWanted = startsWith(page, at, name);
      while (at < end && page[at] !== quote) at++;
      this.#from = at + 1;
      at = this.#endOfValue(at + 1, end);
      this.#to = at;
      if (isWanted && at < end) return true;
    }
    return false;
  }

  /** The label's value as a number; NaN where it is none. */
  labelNumber(): number {
    return readNumber(this.#page, this.#from, this.#to);
  }

  /** True where the label's value is this text. */
  labelIs(value: Buffer): boolean {
    if (this.#isEscaped) return this.labelText() === value.toString();
    return this.#to - this.#from === value.length && this.labelStarts(value);
  }

  /** True where the label's value stands in the page as these bytes, escapes and all. */
  labelStarts(raw: Buffer): boolean {
    for (let index = 0; index < raw.length; index++)
      if (this.#page[this.#from + index] !== raw[index]) return false;
    return true;
  }

  /** Where the label's value stands in the page. */
  get labelStart(): number {
    return this.#from;
  }

  get labelEnd(): number {
    return this.#to;
  }

  /** The label's value without its escapes. */
  labelText(): string {
    return unescapeLabel(this.#page.toString("utf8", this.#from, this.#to));
  }

  #endOfValue(from: number, end: number): number {
    const page = this.#page;
    let at = from;
    this.#isEscaped = false;
    while (at < end && page[at] !== quote) {
      if (page[at] === backslash) {
        this.#isEscaped = true;
        at++;
      }
      at++;
    }
    return at;
  }

  /** The family's next series at or behind a line's beginning; comments between two of them are passed over. */
  #following(from: number): number {
    const page = this.#page;
    let at = from;
    for (let comments = 0; comments < 4; comments++) {
      if (isSeriesOf(page, at, this.#name)) return at;
      if (page[at] !== hash) return -1;
      const end = page.indexOf(lineFeed, at);
      if (end < 0) return -1;
      at = end + 1;
    }
    return -1;
  }
}

function startsWith(page: Buffer, at: number, name: Buffer): boolean {
  const after = page[at + name.length];
  if (after !== equals && !isBlank(after)) return false;
  for (let index = 0; index < name.length; index++) if (page[at + index] !== name[index]) return false;
  return true;
}

/** The escapes of label values: `\\`, `\"`, `\n`. */
export function unescapeLabel(text: string): string {
  if (!text.includes("\\")) return text;
  return text.replaceAll(/\\(.)/gs, (_, escaped: string) => (escaped === "n" ? "\n" : escaped));
}

function isBlank(byte: number | undefined): boolean {
  return byte === space || byte === tab;
}

function skipBlanks(page: Buffer, from: number): number {
  let at = from;
  while (isBlank(page[at])) at++;
  return at;
}

/** Position behind the closing brace; -1 where the line has none. */
function skipLabels(page: Buffer, from: number, end: number): number {
  let isQuoted = false;
  for (let at = from; at < end; at++) {
    const byte = page[at];
    if (byte === quote) isQuoted = !isQuoted;
    else if (byte === backslash && isQuoted) at++;
    else if (byte === closeBrace && !isQuoted) return at + 1;
  }
  return -1;
}

/** Digits that a double holds exactly. */
const exactDigits = 15;

/**
 * Reads the number that begins at `from` and ends at a blank or at `to`. NaN for what is none; `Inf`, `+Inf` and `-Inf`
 * are infinite.
 */
function readNumber(page: Buffer, from: number, to: number): number {
  const isNegative = page[from] === 0x2d;
  let at = isNegative ? from + 1 : from;
  let value = 0;
  let digits = 0;
  let scale = 0;
  for (; at < to; at++) {
    const digit = (page[at] ?? 0) - 0x30;
    if (digit >= 0 && digit <= 9) {
      value = value * 10 + digit;
      digits++;
      scale *= 10;
    } else if (digit === -2 && scale === 0) scale = 1;
    else break;
  }
  const isWhole = at >= to || isBlank(page[at]) || page[at] === carriageReturn;
  if (!isWhole || digits === 0 || digits > exactDigits) return readUnusual(page, from, to);
  if (scale > 1) value /= scale;
  return isNegative ? -value : value;
}

/** Exponents, many digits, `NaN` and `Inf`. */
function readUnusual(page: Buffer, from: number, to: number): number {
  let end = from;
  while (end < to && !isBlank(page[end]) && page[end] !== carriageReturn) end++;
  const text = page.toString("latin1", from, Math.min(end, from + 64));
  if (/^[+-]?inf(?:inity)?$/i.test(text)) return text.startsWith("-") ? -Infinity : Infinity;
  return /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i.test(text) ? Number(text) : Number.NaN;
}
