/**
 * Begins requests in portions: what many new ones cost in one turn of the event loop would hold up
 * every stream that runs, here and at servers that get all of them at once.
 */
import type { Clock } from "../../core/clock.ts";

/** Something that begins. Does not throw. */
export interface Startable {
  start(): void;
}

/** So long after its first beginning of a turn nothing more is begun in it, ms. Some dozens of requests begin within. */
const portionMs = 2;

/** What does not begin at once waits for one of the next turns, in order. Bounded by what its callers have admitted. */
export class StartPacer {
  readonly #clock: Clock;
  readonly #waiting: Startable[] = [];
  /** When this turn's first began; undefined while none has. */
  #since: number | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Begins it, now or in a later turn. */
  begin(entry: Startable): void {
    const now = this.#clock.now();
    if (this.#since === undefined) {
      this.#since = now;
      setImmediate(nextTurn, this);
    }
    if (this.#waiting.length === 0 && now - this.#since <= portionMs) entry.start();
    else this.#waiting.push(entry);
  }

  /** A turn is over: those that wait come first in the next. */
  turned(): void {
    this.#since = undefined;
    const waiting = this.#waiting;
    if (waiting.length === 0) return;
    const since = this.#clock.now();
    this.#since = since;
    setImmediate(nextTurn, this);
    let begun = 0;
    do waiting[begun++]?.start();
    while (begun < waiting.length && this.#clock.now() - since <= portionMs);
    waiting.splice(0, begun);
  }
}

function nextTurn(pacer: StartPacer): void {
  pacer.turned();
}
