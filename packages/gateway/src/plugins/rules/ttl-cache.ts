/** What was found for a while, in memory that is set aside once. */
import type { Clock } from "../../core/clock.ts";

/** Places that one key may be in. */
const ways = 4;

interface Entry<T> {
  readonly key: string;
  readonly value: T;
  readonly until: number;
}

/** Holds at most so many values, each for so long. A new one takes the place of the one that would go first. */
export class TtlCache<T> {
  readonly #clock: Clock;
  readonly #ttlMs: number;
  readonly #places: (Entry<T> | undefined)[];

  /** `capacity` is rounded up to whole sets of places. */
  constructor({
    clock,
    ttlMs,
    capacity,
  }: {
    readonly clock: Clock;
    readonly ttlMs: number;
    readonly capacity: number;
  }) {
    this.#clock = clock;
    this.#ttlMs = ttlMs;
    this.#places = Array.from({ length: Math.ceil(capacity / ways) * ways }, () => undefined);
  }

  get(key: string): T | undefined {
    const from = this.#setOf(key);
    const now = this.#clock.now();
    for (let at = from; at < from + ways; at++) {
      const entry = this.#places[at];
      if (entry?.key === key && entry.until > now) return entry.value;
    }
    return undefined;
  }

  set(key: string, value: T): void {
    if (this.#places.length === 0) return;
    const from = this.#setOf(key);
    let chosen = from;
    for (let at = from; at < from + ways; at++) {
      const entry = this.#places[at];
      if (entry === undefined || entry.key === key) {
        chosen = at;
        break;
      }
      if (entry.until < (this.#places[chosen]?.until ?? 0)) chosen = at;
    }
    this.#places[chosen] = { key, value, until: this.#clock.now() + this.#ttlMs };
  }

  /** FNV-1a (http://www.isthe.com/chongo/tech/comp/fnv/) over the code units. */
  #setOf(key: string): number {
    let hash = 0x811c9dc5;
    for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193);
    return ((hash >>> 0) % (this.#places.length / ways || 1)) * ways;
  }
}
