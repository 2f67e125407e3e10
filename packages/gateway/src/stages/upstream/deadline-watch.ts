/**
 * Timeouts of many running attempts for the price of one timer: a tick looks at all of them. Putting
 * a deadline off is one assignment, so that a streamed answer can do it with every piece.
 */
import type { Clock } from "../../core/clock.ts";

/** Something with a deadline. */
export interface Watched {
  /** On the clock of the watch, ms. May be changed at any time; Infinity for never. */
  dueAt: number;
  /** Place in the watch; -1 while it is in none. The watch's own. */
  watchIndex: number;
  /** Called on the first tick at or after `dueAt`. Stays watched: sets a new `dueAt` or leaves. */
  due(): void;
}

/** How late a deadline may be noticed, ms. */
export const tickMs = 25;

/** Watches deadlines. Keeps no timer while it watches nothing. */
export class DeadlineWatch {
  readonly #clock: Clock;
  readonly #watched: Watched[] = [];
  #ticking = false;
  #now = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Time of the last tick, ms: at most one tick behind the clock while something is watched. */
  get now(): number {
    return this.#now;
  }

  add(entry: Watched): void {
    if (entry.watchIndex >= 0) return;
    entry.watchIndex = this.#watched.push(entry) - 1;
    if (!this.#ticking) this.#tickLater();
  }

  /** Does nothing for what is not watched. */
  remove(entry: Watched): void {
    const index = entry.watchIndex;
    if (index < 0) return;
    entry.watchIndex = -1;
    const last = this.#watched.pop();
    if (last === undefined || last === entry) return;
    this.#watched[index] = last;
    last.watchIndex = index;
  }

  #tickLater(): void {
    this.#ticking = true;
    this.#now = this.#clock.now();
    this.#clock.after(tickMs, () => this.#tick());
  }

  #tick(): void {
    this.#ticking = false;
    const now = this.#clock.now();
    this.#now = now;
    // From the end: what leaves is replaced by what has been looked at.
    for (let index = this.#watched.length - 1; index >= 0; index--) {
      const entry = this.#watched[index];
      if (entry !== undefined && entry.dueAt <= now) entry.due();
    }
    if (this.#watched.length > 0 && !this.#ticking) this.#tickLater();
  }
}
