/**
 * Reads regular expressions of the kind that can be matched in linear time: what JavaScript writes, without backward
 * references and without looking around.
 */

/** Ranges of UTF-16 code units, ascending, both ends included, in pairs. */
export type Ranges = readonly number[];

/** What a pattern says. */
export type PatternNode =
  | { readonly kind: "chars"; readonly ranges: Ranges }
  | { readonly kind: "sequence" | "choice"; readonly of: readonly PatternNode[] }
  | { readonly kind: "repeat"; readonly of: PatternNode; readonly min: number; readonly max: number }
  | { readonly kind: "assert"; readonly what: Assertion };

/** Places without a width: the text's beginning and end, and where words begin or end, or do not. */
export type Assertion = "start" | "end" | "edge" | "no-edge";

const highest = 0xffff;
const digits: Ranges = [0x30, 0x39];

/** Letters, digits and the underscore of ASCII. */
export const wordRanges: Ranges = [0x30, 0x39, 0x41, 0x5a, 0x5f, 0x5f, 0x61, 0x7a];

/** As `\s` of JavaScript. */
const blanks: Ranges = [
  0x09, 0x0d, 0x20, 0x20, 0xa0, 0xa0, 0x1680, 0x1680, 0x2000, 0x200a, 0x2028, 0x2029, 0x202f, 0x202f, 0x205f,
  0x205f, 0x3000, 0x3000, 0xfeff, 0xfeff,
];

const lineEnds: Ranges = [0x0a, 0x0a, 0x0d, 0x0d, 0x2028, 0x2029];

const classes: Readonly<Record<string, Ranges>> = {
  d: digits,
  D: complement(digits),
  w: wordRanges,
  W: complement(wordRanges),
  s: blanks,
  S: complement(blanks),
};

const controls: Readonly<Record<string, number>> = { t: 9, n: 10, v: 11, f: 12, r: 13, 0: 0 };

/** Largest count of `{m,n}`. */
const maxCount = 1_000;

/** Groups within groups. */
const maxDepth = 100;

/** A pattern that cannot be matched here; the message says why. */
export class PatternError extends Error {}

/** Reads a pattern. Throws a `PatternError`. */
export function parsePattern(text: string, ignoreCase: boolean): PatternNode {
  return new Parser(text, ignoreCase).parse();
}

class Parser {
  readonly #text: string;
  readonly #ignoreCase: boolean;
  #at = 0;
  #depth = 0;

  constructor(text: string, ignoreCase: boolean) {
    this.#text = text;
    this.#ignoreCase = ignoreCase;
  }

  parse(): PatternNode {
    const node = this.#choice();
    if (this.#at < this.#text.length) throw this.#error("there is a ) without a (");
    return node;
  }

  #choice(): PatternNode {
    if (++this.#depth > maxDepth) throw this.#error("its groups nest too deep");
    const of = [this.#sequence()];
    while (this.#take("|")) of.push(this.#sequence());
    this.#depth--;
    return of.length === 1 && of[0] !== undefined ? of[0] : { kind: "choice", of };
  }

  #sequence(): PatternNode {
    const of: PatternNode[] = [];
    for (let next = this.#peek(); next !== "" && next !== "|" && next !== ")"; next = this.#peek()) {
      of.push(this.#repeated(this.#atom()));
    }
    return { kind: "sequence", of };
  }

  #repeated(of: PatternNode): PatternNode {
    const counts = this.#counts();
    if (counts === undefined) return of;
    if (of.kind === "assert") throw this.#error("there is nothing to repeat");
    // Whether a text matches does not depend on greed.
    this.#take("?");
    if (this.#counts() !== undefined) throw this.#error("there is nothing to repeat");
    return { kind: "repeat", of, ...counts };
  }

  #counts(): { readonly min: number; readonly max: number } | undefined {
    if (this.#take("*")) return { min: 0, max: Infinity };
    if (this.#take("+")) return { min: 1, max: Infinity };
    if (this.#take("?")) return { min: 0, max: 1 };
    const found = /^\{(\d+)(?:(,)(\d*))?\}/.exec(this.#text.slice(this.#at, this.#at + 24));
    if (found === null) return undefined;
    const [all, low = "", comma, high = ""] = found;
    this.#at += all.length;
    const min = Number(low);
    const max = comma === undefined ? min : high === "" ? Infinity : Number(high);
    if (min > maxCount || (max > maxCount && max !== Infinity)) {
      throw this.#error(`it repeats more than ${maxCount} times`);
    }
    if (max < min) throw this.#error("the numbers of {…} are out of order");
    return { min, max };
  }

  #atom(): PatternNode {
    const char = this.#next();
    switch (char) {
      case "(":
        return this.#group();
      case "[":
        return this.#chars(this.#set());
      case ".":
        return this.#chars(complement(lineEnds));
      case "^":
        return { kind: "assert", what: "start" };
      case "$":
        return { kind: "assert", what: "end" };
      case "\\":
        return this.#escape();
      case "*":
      case "+":
      case "?":
        throw this.#error("there is nothing to repeat");
      default:
        return this.#chars([char.charCodeAt(0), char.charCodeAt(0)]);
    }
  }

  #group(): PatternNode {
    if (this.#take("?") && !this.#take(":")) throw this.#error("it looks around, which is not offered");
    const node = this.#choice();
    if (!this.#take(")")) throw this.#error("a group does not end");
    return node;
  }

  #escape(): PatternNode {
    const next = this.#peek();
    if (next === "b" || next === "B") {
      this.#at++;
      return { kind: "assert", what: next === "b" ? "edge" : "no-edge" };
    }
    return this.#chars(this.#escaped());
  }

  /** Behind a backslash: a class, or one character. */
  #escaped(): Ranges {
    const next = this.#next();
    const known = classes[next];
    if (known !== undefined) return known;
    const control = controls[next];
    if (control !== undefined) return [control, control];
    if (next === "x" || next === "u") return this.#hex(next === "x" ? 2 : 4);
    if (/[1-9k]/.test(next)) throw this.#error("it refers back, which is not offered");
    if (next === "" || /[A-Za-z]/.test(next)) throw this.#error(`\\${next} is not offered`);
    return [next.charCodeAt(0), next.charCodeAt(0)];
  }

  #hex(length: number): Ranges {
    const text = this.#text.slice(this.#at, this.#at + length);
    if (text.length < length || !/^[0-9A-Fa-f]+$/.test(text)) throw this.#error("an escape is not whole");
    this.#at += length;
    const code = Number.parseInt(text, 16);
    return [code, code];
  }

  #set(): Ranges {
    const isNegated = this.#take("^");
    const ranges: number[] = [];
    while (!this.#take("]")) {
      const from = this.#member();
      const [low = 0, last = 0] = from;
      const isRange =
        this.#peek() === "-" && this.#text[this.#at + 1] !== "]" && low === last && from.length === 2;
      if (!isRange) {
        ranges.push(...from);
        continue;
      }
      this.#at++;
      const [high = 0, end = 0] = this.#member();
      if (high !== end) throw this.#error("a range ends in a class");
      if (high < low) throw this.#error("a range is out of order");
      ranges.push(low, high);
    }
    const found = this.#ignoreCase ? bothCases(ranges) : ranges;
    return isNegated ? complement(sorted(found)) : sorted(found);
  }

  #member(): Ranges {
    const char = this.#next();
    if (char === "") throw this.#error("a [ does not end");
    if (char === "\\") {
      if (!this.#take("b")) return this.#escaped();
      return [8, 8];
    }
    const code = char.charCodeAt(0);
    if (code >= 0xd800 && code <= 0xdfff)
      throw this.#error("a set has a character that takes two code units");
    return [code, code];
  }

  #chars(ranges: Ranges): PatternNode {
    return { kind: "chars", ranges: this.#ignoreCase ? sorted(bothCases(ranges)) : ranges };
  }

  #peek(): string {
    return this.#text[this.#at] ?? "";
  }

  #next(): string {
    return this.#text[this.#at++] ?? "";
  }

  #take(char: string): boolean {
    if (this.#peek() !== char) return false;
    this.#at++;
    return true;
  }

  #error(why: string): PatternError {
    return new PatternError(`${JSON.stringify(this.#text.slice(0, 60))}, at ${this.#at}: ${why}`);
  }
}

/** Ranges of more characters are taken for whole alphabets, in which case does not matter. */
const widest = 1_024;

function bothCases(ranges: Ranges): number[] {
  const all = [...ranges];
  for (let i = 0; i < ranges.length; i += 2) {
    const [from = 0, to = 0] = [ranges[i], ranges[i + 1]];
    if (to - from > widest) continue;
    for (let code = from; code <= to; code++) {
      const char = String.fromCharCode(code);
      for (const other of [char.toLowerCase(), char.toUpperCase()]) {
        if (other.length === 1 && other !== char) all.push(other.charCodeAt(0), other.charCodeAt(0));
      }
    }
  }
  return all;
}

/** Ascending, without overlaps. */
function sorted(ranges: Ranges): Ranges {
  const pairs: [number, number][] = [];
  for (let i = 0; i < ranges.length; i += 2) pairs.push([ranges[i] ?? 0, ranges[i + 1] ?? 0]);
  pairs.sort(([a], [b]) => a - b);
  const merged: [number, number][] = [];
  for (const [from, to] of pairs) {
    const last = merged.at(-1);
    if (last !== undefined && from <= last[1] + 1) last[1] = Math.max(last[1], to);
    else merged.push([from, to]);
  }
  return merged.flat();
}

function complement(ranges: Ranges): Ranges {
  const others: number[] = [];
  let from = 0;
  for (let i = 0; i < ranges.length; i += 2) {
    const [low = 0, high = 0] = [ranges[i], ranges[i + 1]];
    if (low > from) others.push(from, low - 1);
    from = high + 1;
  }
  if (from <= highest) others.push(from, highest);
  return others;
}
