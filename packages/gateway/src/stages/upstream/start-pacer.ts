/**
 * Begins requests in portions: what many new ones cost in one turn of the event loop would hold up
 * every stream that runs, here and at servers that get all of them at once.
 */
import type { Clock } from "../../core/clock.ts";

/** Something that begins. Does not throw. */
export interface Startable {
  start(): void;
}

/** So long after its first beginning of a turn nothing more is begun in it while no stream runs, ms. Some dozens of requests begin within. */
const portionMs = 2;

/** So many streams halve a portion: a thousand leave time for one or two requests. */
const halvingStreams = 50;

/** What does not begin at once waits for one of the next turns, in order. Bounded by what its callers have admitted. */
export class StartPacer {
  readonly #clock: Clock;
  readonly #waiting: Startable[] = [];
  /** When this turn's first began; undefined while none has. */
  #since: number | undefined;
  /** Streams that run. */
  #streams = 0;

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
    if (this.#waiting.length === 0 && now - this.#since <= this.#portionMs) entry.start();
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
    const portion = this.#portionMs;
    let begun = 0;
    do waiting[begun++]?.start();
    while (begun < waiting.length && this.#clock.now() - since <= portion);
    waiting.splice(0, begun);
  }

  /** A stream has begun to reach its caller: its events come before what begins. */
  streamBegan(): void {
    this.#streams++;
  }

  /** It has ended, in whatever way. */
  streamEnded(): void {
    this.#streams--;
  }

  get #portionMs(): number {
    return (portionMs * halvingStreams) / (halvingStreams + this.#streams);
  }
}

function nextTurn(pacer: StartPacer): void {
  pacer.turned();
}
