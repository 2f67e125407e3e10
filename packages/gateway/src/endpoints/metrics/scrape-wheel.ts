/** When servers are asked for their metrics: each at its own interval, all spread evenly over time, with one timer. */
import type { Clock, Timer } from "../../core/clock.ts";

/** Something that has its turn again and again. */
export interface Turning {
  /** Called at each turn; must not throw. */
  turn(now: number): void;
}

/** A thing on the wheel. */
interface Seat {
  readonly turning: Turning;
  readonly intervalTicks: number;
  /** The tick at which it has its next turn. */
  due: number;
  isGone: boolean;
}

/** How far apart turns may be, ms: those within a tick come together, which costs less than one by one. */
const tickMs = 5;
/** Ticks of one round; seats that are due later wait for another. */
const ticks = 256;

/** Turns as long as something is on it. */
export class ScrapeWheel {
  readonly #clock: Clock;
  readonly #slots: Seat[][] = Array.from({ length: ticks }, () => []);
  #count = 0;
  #startedAt = 0;
  /** The tick that was handled last. */
  #tick = 0;
  #timer: Timer | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Puts something on the wheel, where least is near it; its first turn is within one interval. Returns how to take it off. */
  add(turning: Turning, intervalMs: number): () => void {
    if (this.#count === 0) {
      this.#startedAt = this.#clock.now();
      this.#tick = 0;
    }
    const intervalTicks = Math.max(1, Math.round(intervalMs / tickMs));
    const due = this.#emptiest(intervalTicks);
    const seat: Seat = { turning, intervalTicks, due, isGone: false };
    this.#slotAt(due).push(seat);
    this.#count++;
    this.#schedule();
    return () => this.#remove(seat);
  }

  #slotAt(tick: number): Seat[] {
    return this.#slots[tick % ticks] ?? [];
  }

  /** The tick within the next interval that has the fewest seats. */
  #emptiest(intervalTicks: number): number {
    const now = this.#now();
    let best = now + 1;
    let fewest = Infinity;
    for (let tick = now + 1; tick <= now + Math.min(intervalTicks, ticks); tick++) {
      const { length } = this.#slotAt(tick);
      if (length < fewest) {
        fewest = length;
        best = tick;
      }
    }
    return best;
  }

  /** The tick that it is now. */
  #now(): number {
    return Math.max(this.#tick, Math.floor((this.#clock.now() - this.#startedAt) / tickMs));
  }

  #remove(seat: Seat): void {
    if (seat.isGone) return;
    seat.isGone = true;
    const slot = this.#slotAt(seat.due);
    slot.splice(slot.indexOf(seat), 1);
    this.#count--;
    if (this.#count > 0) return;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** Sleeps until the next tick that has a seat. */
  #schedule(): void {
    this.#timer?.cancel();
    if (this.#count === 0) return;
    let tick = this.#tick + 1;
    while (tick < this.#tick + ticks && this.#slotAt(tick).length === 0) tick++;
    const at = this.#startedAt + tick * tickMs;
    this.#timer = this.#clock.after(Math.max(0, at - this.#clock.now()), () => this.#run());
  }

  /** Gives the turns that are due. What was missed while the process was busy is not made up for. */
  #run(): void {
    this.#timer = undefined;
    const now = this.#now();
    const first = Math.max(this.#tick + 1, now - ticks + 1);
    this.#tick = now;
    for (let tick = first; tick <= now; tick++) this.#runTick(tick, now);
    this.#schedule();
  }

  #runTick(tick: number, now: number): void {
    const slot = this.#slotAt(tick);
    if (slot.length === 0) return;
    this.#slots[tick % ticks] = [];
    const due = slot.filter((seat) => seat.due <= now);
    for (const seat of slot) {
      // It keeps its place among the others; one that is late by whole intervals leaves these out.
      if (seat.due <= now)
        seat.due += (Math.floor((now - seat.due) / seat.intervalTicks) + 1) * seat.intervalTicks;
      this.#slotAt(seat.due).push(seat);
    }
    for (const seat of due) if (!seat.isGone) seat.turning.turn(this.#clock.now());
  }
}
