/** How much of a text its attachments take, at any depth: pictures in base64, whose size says nothing about tokens. */
import { KeyFinder, skipBlanks } from "../streams/key-finder.ts";
import { endOfValue } from "./member-spans.ts";
import { lookedAtInATurn, TurnedSearch } from "./value-end.ts";

const quote = 0x22;
const comma = 0x2c;
const openBracket = 0x5b;

/** Attachments of a text. */
export interface Attachments {
  readonly count: number;
  /** Bytes that they take in the text, quotes included. */
  readonly bytes: number;
}

/** Sums up attachments by the names of their members. What stands inside of one is not looked at. */
export class ValueBytes {
  readonly #names: readonly string[];
  readonly #beginnings: readonly Uint8Array[];
  readonly #finder: KeyFinder;

  /**
   * `beginnings`: by the member's name (ASCII without quotes and backslashes) what its string begins with, such as
   * `data:`. Strings of lists count one by one; other values are no attachments.
   */
  constructor(beginnings: Readonly<Record<string, string>>) {
    this.#names = Object.keys(beginnings);
    this.#beginnings = Object.values(beginnings).map((text) => new Uint8Array(Buffer.from(`"${text}`)));
    this.#finder = new KeyFinder(this.#names);
  }

  /** The attachments of the text. */
  of(bytes: Uint8Array): Attachments {
    const finder = this.#finder;
    const sum = new Sum(bytes);
    finder.begin(bytes, 0, bytes.length);
    for (let name = finder.next(); name >= 0; name = finder.next()) {
      sum.begin(finder.valueAt);
      while (sum.isAt(this.#beginnings[name])) sum.add(endOfValue(bytes, sum.at, bytes.length));
      finder.goOn(sum.at);
    }
    return sum;
  }

  /** The same for a large text, which gives the event loop a turn again and again. */
  *inTurns(bytes: Uint8Array): Generator<void, Attachments> {
    const finder = new KeyFinder(this.#names);
    const search = new TurnedSearch(bytes);
    const sum = new Sum(bytes);
    finder.begin(bytes, 0, bytes.length);
    for (;;) {
      const name = finder.next(finder.at + lookedAtInATurn);
      if (name === -1) return sum;
      if (name === -2) yield;
      else {
        sum.begin(finder.valueAt);
        while (sum.isAt(this.#beginnings[name])) sum.add(yield* search.end(sum.at));
        finder.goOn(sum.at);
      }
    }
  }
}

/** Goes over the strings of one value after the other. */
class Sum implements Attachments {
  readonly #bytes: Uint8Array;
  #isList = false;
  #isOver = false;
  count = 0;
  bytes = 0;
  /** How far it is. */
  at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  begin(at: number): void {
    this.#isOver = false;
    this.#isList = this.#bytes[at] === openBracket;
    this.at = this.#isList ? skipBlanks(this.#bytes, at + 1, this.#bytes.length) : at;
  }

  /** Whether an attachment stands here: a string with this beginning, its quote included. */
  isAt(beginning: Uint8Array | undefined): boolean {
    if (this.#isOver || beginning === undefined || this.#bytes[this.at] !== quote) return false;
    for (let i = 1; i < beginning.length; i++) if (this.#bytes[this.at + i] !== beginning[i]) return false;
    return true;
  }

  /** The attachment here ends before `end`, or not at all. */
  add(end: number): void {
    const bytes = this.#bytes;
    this.#isOver = !this.#isList || end <= this.at;
    if (end <= this.at) return;
    this.count++;
    this.bytes += end - this.at;
    this.at = end;
    if (this.#isOver) return;
    const next = skipBlanks(bytes, end, bytes.length);
    this.#isOver = bytes[next] !== comma;
    if (!this.#isOver) this.at = skipBlanks(bytes, next + 1, bytes.length);
  }
}
