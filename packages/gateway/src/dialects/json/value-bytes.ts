/** How much of a text the values of one name take, at any depth: pictures in base64, which say nothing about tokens. */
import { KeyFinder } from "../streams/key-finder.ts";
import { endOfValue } from "./member-spans.ts";
import { lookedAtInATurn, TurnedSearch } from "./value-end.ts";

const quote = 0x22;

/** Sums up values by name. What stands inside of a value that was counted is not looked at. */
export class ValueBytes {
  readonly #name: string;
  readonly #kind: "strings" | "any";
  readonly #finder: KeyFinder;

  /** `name`: ASCII without quotes and backslashes. `kind`: which values count. */
  constructor(name: string, kind: "strings" | "any") {
    this.#name = name;
    this.#kind = kind;
    this.#finder = new KeyFinder([name]);
  }

  /** Bytes of the values in the text, quotes included. */
  of(bytes: Uint8Array): number {
    const finder = this.#finder;
    let sum = 0;
    finder.begin(bytes, 0, bytes.length);
    while (finder.next() >= 0) {
      if (!this.#counts(bytes, finder)) continue;
      const end = endOfValue(bytes, finder.valueAt, bytes.length);
      sum += end - finder.valueAt;
      finder.goOn(Math.max(end, finder.valueAt));
    }
    return sum;
  }

  /** The same for a large text, which gives the event loop a turn again and again. */
  *inTurns(bytes: Uint8Array): Generator<void, number> {
    const finder = new KeyFinder([this.#name]);
    const search = new TurnedSearch(bytes);
    let sum = 0;
    finder.begin(bytes, 0, bytes.length);
    for (;;) {
      const found = finder.next(finder.at + lookedAtInATurn);
      if (found === -1) return sum;
      if (found === -2) yield;
      else if (this.#counts(bytes, finder)) {
        const end = yield* search.end(finder.valueAt);
        sum += end - finder.valueAt;
        finder.goOn(end);
      }
    }
  }

  #counts(bytes: Uint8Array, { valueAt }: KeyFinder): boolean {
    return this.#kind === "any" || bytes[valueAt] === quote;
  }
}
