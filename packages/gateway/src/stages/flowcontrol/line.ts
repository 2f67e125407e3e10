/**
 * The one line in front of an endpoint: priorities, deadlines, a bound, cancellation.
 *
 * Single writer: every change happens in one synchronous call, never across an `await`. Whoever
 * drains the line calls `take`; nothing else hands requests out.
 */
import type { Lease } from "../../contracts/lease.ts";
import type { Line, LineCost, LineEntry, TakeLimit, Waiter } from "../../contracts/line.ts";
import type { FlowOptions } from "../../contracts/options.ts";
import type { Clock, Timer } from "../../core/clock.ts";
import { failure, type Failure } from "../../core/errors.ts";
import type { BoundTensors, InferenceRequest, Payload, TensorPayload } from "../../core/request.ts";

/** Priorities outside this range count as its ends, which bounds the number of bands. */
const priorityRange = { lowest: -16, highest: 16 };

/** How far behind the first request others of its shape are looked for, in multiples of the rows wanted. */
const lookAhead = 4;

/** A request in line: a node of its band's list and the `Waiter` that the drain sees. */
class WaitingRequest<P extends Payload, B extends LineCost> implements Waiter<P, B> {
  readonly request: InferenceRequest<P>;
  readonly bound: B;
  readonly enqueuedAt: number;
  readonly band: Band<P, B>;
  readonly #done: (result: Lease | Failure) => void;
  previous: WaitingRequest<P, B> | undefined;
  next: WaitingRequest<P, B> | undefined;

  constructor(entry: LineEntry<P, B>, band: Band<P, B>, enqueuedAt: number) {
    this.request = entry.request;
    this.bound = entry.bound;
    this.#done = entry.done;
    this.band = band;
    this.enqueuedAt = enqueuedAt;
  }

  grant(lease: Lease): void {
    this.#done(lease);
  }

  refuse(reason: Failure): void {
    this.#done(reason);
  }
}

/** Requests of one priority, first come first served. */
class Band<P extends Payload, B extends LineCost> {
  readonly priority: number;
  first: WaitingRequest<P, B> | undefined;
  last: WaitingRequest<P, B> | undefined;

  constructor(priority: number) {
    this.priority = priority;
  }

  append(waiter: WaitingRequest<P, B>): void {
    waiter.previous = this.last;
    if (this.last === undefined) this.first = waiter;
    else this.last.next = waiter;
    this.last = waiter;
  }

  unlink(waiter: WaitingRequest<P, B>): void {
    if (waiter.previous === undefined) this.first = waiter.next;
    else waiter.previous.next = waiter.next;
    if (waiter.next === undefined) this.last = waiter.previous;
    else waiter.next.previous = waiter.previous;
    waiter.previous = undefined;
    waiter.next = undefined;
  }
}

/** What a line needs. */
export interface LineOptions {
  readonly clock: Clock;
  readonly maxQueue: FlowOptions["maxQueue"];
  /** Hears of every request that leaves the line unserved. */
  readonly onRefused: (failure: Failure) => void;
}

/** The line in front of one endpoint. */
export class RequestLine<
  P extends Payload = TensorPayload,
  B extends LineCost = BoundTensors,
> implements Line<P, B> {
  readonly #clock: Clock;
  readonly #maxQueue: number;
  readonly #onRefused: (failure: Failure) => void;
  /** Highest priority first. */
  readonly #bands: Band<P, B>[] = [];
  #length = 0;
  #rows = 0;
  #bytes = 0;
  #listener: (() => void) | undefined;
  #timer: Timer | undefined;
  #timerAt = Infinity;

  constructor(options: LineOptions) {
    this.#clock = options.clock;
    this.#maxQueue = options.maxQueue;
    this.#onRefused = options.onRefused;
  }

  get length(): number {
    return this.#length;
  }

  get rows(): number {
    return this.#rows;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get oldestAt(): number | undefined {
    let oldest: number | undefined;
    for (const band of this.#bands) {
      const first = band.first?.enqueuedAt;
      if (first !== undefined && (oldest === undefined || first < oldest)) oldest = first;
    }
    return oldest;
  }

  onArrival(listener: () => void): void {
    this.#listener = listener;
  }

  /** Puts a request in line, or refuses it at once: line full, deadline passed, already called off. */
  join(entry: LineEntry<P, B>): void {
    const now = this.#clock.now();
    const refusal = this.#refusalAtEntry(entry.request, now);
    if (refusal !== undefined) {
      this.#onRefused(refusal);
      return entry.done(refusal);
    }
    const band = this.#bandOf(entry.request.priority);
    const waiter = new WaitingRequest(entry, band, now);
    band.append(waiter);
    this.#length++;
    this.#rows += entry.bound.rows;
    this.#bytes += entry.bound.bytes ?? 0;
    entry.request.cancellation.listen(() => this.#leave(waiter, failure("client_gone")));
    this.#watch(entry.request.deadline, now);
    this.#listener?.();
  }

  take(limit: TakeLimit): Waiter<P, B>[] {
    const taken: WaitingRequest<P, B>[] = [];
    const now = this.#clock.now();
    const { maxRows, maxBytes = Infinity } = limit;
    let rows = 0;
    let bytes = 0;
    let seen = 0;
    for (const band of this.#bands) {
      let next: WaitingRequest<P, B> | undefined;
      for (let waiter = band.first; waiter !== undefined; waiter = next) {
        next = waiter.next;
        if (waiter.request.deadline <= now) {
          this.#leave(waiter, failure("queue_timeout", undefined, 1_000));
          continue;
        }
        if (!(limit.fits?.(waiter.bound.shapeKey, band.priority) ?? true)) continue;
        if (++seen > lookAhead * maxRows) return taken;
        const first = taken[0];
        if (first !== undefined && waiter.bound.shapeKey !== first.bound.shapeKey) continue;
        rows += waiter.bound.rows;
        bytes += waiter.bound.bytes ?? 0;
        if (first !== undefined && (rows > maxRows || bytes > maxBytes)) return taken;
        this.#remove(waiter);
        taken.push(waiter);
        if (rows >= maxRows || bytes >= maxBytes) return taken;
      }
    }
    return taken;
  }

  flush(reason: Failure): void {
    for (const band of this.#bands) while (band.first !== undefined) this.#leave(band.first, reason);
  }

  #refusalAtEntry(request: InferenceRequest<P>, now: number): Failure | undefined {
    if (request.cancellation.reason !== undefined) return failure("client_gone");
    if (this.#length >= this.#maxQueue) return failure("queue_full", undefined, 1_000);
    if (request.deadline <= now) return failure("queue_timeout", undefined, 1_000);
    return undefined;
  }

  #bandOf(wanted: number): Band<P, B> {
    const priority = Math.max(priorityRange.lowest, Math.min(priorityRange.highest, Math.trunc(wanted)));
    let index = 0;
    for (; index < this.#bands.length; index++) {
      const band = this.#bands[index];
      if (band === undefined || band.priority < priority) break;
      if (band.priority === priority) return band;
    }
    const band = new Band<P, B>(priority);
    this.#bands.splice(index, 0, band);
    return band;
  }

  #remove(waiter: WaitingRequest<P, B>): void {
    waiter.band.unlink(waiter);
    waiter.request.cancellation.listen(undefined);
    this.#length--;
    this.#rows -= waiter.bound.rows;
    this.#bytes -= waiter.bound.bytes ?? 0;
  }

  #leave(waiter: WaitingRequest<P, B>, reason: Failure): void {
    this.#remove(waiter);
    this.#onRefused(reason);
    waiter.refuse(reason);
  }

  /** One timer a line, set to the earliest deadline it has heard of; it may fire early, never late. */
  #watch(deadline: number, now: number): void {
    if (deadline >= this.#timerAt || deadline === Infinity) return;
    this.#timer?.cancel();
    this.#timerAt = deadline;
    this.#timer = this.#clock.after(Math.max(0, deadline - now), () => this.#expire());
  }

  #expire(): void {
    const now = this.#clock.now();
    let earliest = Infinity;
    for (const band of this.#bands) {
      let next: WaitingRequest<P, B> | undefined;
      for (let waiter = band.first; waiter !== undefined; waiter = next) {
        next = waiter.next;
        if (waiter.request.deadline <= now) this.#leave(waiter, failure("queue_timeout", undefined, 1_000));
        else earliest = Math.min(earliest, waiter.request.deadline);
      }
    }
    this.#timer = undefined;
    this.#timerAt = Infinity;
    this.#watch(earliest, now);
  }
}
