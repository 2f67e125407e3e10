/**
 * Takes what waits in an endpoint's line and sends it to instances, several requests in one call.
 *
 * Work-conserving: what waits is sent the moment an instance is free; nothing is held back to fill a
 * batch unless the model asks for a delay. Arrivals of one turn of the event loop travel together.
 *
 * After a crash every request of the lost calls is a suspect: it is sent again once, alone on a host
 * that runs nothing else, so that the one that kills is told from those that were only near.
 */
import type { Line } from "../contracts/line.ts";
import type { Clock, Timer } from "../core/clock.ts";
import { failure, type Failure } from "../core/errors.ts";
import type { ServedModel } from "../core/model.ts";
import type { Outcome } from "../core/outcome.ts";
import { Batch, Seat, type SeatOwner } from "./batch.ts";
import { CallPace } from "./call-pace.ts";
import type { InstanceAnswer, InstanceFailure, ModelInstance } from "./model-instance.ts";
import type { ModelStatistics } from "./statistics.ts";

/** Calls that end through no fault of a request are repeated this often. */
const maxRepeats = 8;

/**
 * Bytes that requests sharing a call have in sum, by default: 1 MiB. A call costs as much as moving some 100 KB, so
 * larger ones save next to nothing, while each request in them waits for the last byte of the others both ways, and
 * the instance for the whole of it.
 */
const defaultMaxBytes = 1_048_576;

/** How full a call must be to be sent ahead to an instance that is still at work. */
const worthSendingAhead = 0.5;

/** What a batcher needs. */
export interface BatcherOptions {
  readonly clock: Clock;
  readonly line: Line;
  readonly model: ServedModel;
  readonly statistics: ModelStatistics;
  /** How long what waits may be held back to fill a batch, ms. */
  readonly delayMs: number;
  /** Deadline of one call, ms; past it the host is taken for hung and ended. */
  readonly timeoutMs: number;
  /** Bytes of inputs that requests in one call may have in sum; a larger request is sent alone. Default 1 MiB. */
  readonly maxBytes?: number;
  /** Calls that an instance works on at once; one more is sent ahead when it is full. Default 1. */
  readonly concurrency?: number;
  /** Called when the last of the work has ended. */
  readonly onIdle: () => void;
}

/** An instance and the calls it runs for this batcher. */
interface Attached {
  readonly instance: ModelInstance;
  readonly stopListening: () => void;
  readonly pace: CallPace;
  calls: number;
  /** Of those calls. */
  rows: number;
}

/** Drains one line into the instances of one model version. */
export class Batcher implements SeatOwner {
  readonly #options: BatcherOptions;
  readonly #concurrency: number;
  readonly #maxBytes: number;
  readonly #attached: Attached[] = [];
  readonly #suspects: Seat[] = [];
  #reserved: Attached | undefined;
  #scheduled = false;
  #delay: Timer | undefined;
  #ahead: Timer | undefined;
  #calls = 0;

  constructor(options: BatcherOptions) {
    this.#options = options;
    this.#concurrency = options.concurrency ?? 1;
    this.#maxBytes = options.maxBytes ?? defaultMaxBytes;
    options.line.onArrival(() => this.#schedule());
  }

  /** Calls under way, batches about to be sent and suspects. */
  get busy(): boolean {
    return this.#calls > 0 || this.#suspects.length > 0;
  }

  get instances(): number {
    return this.#attached.length;
  }

  attach(instance: ModelInstance): void {
    const stopListening = instance.host.onChange(() => this.#schedule());
    this.#attached.push({ instance, stopListening, pace: new CallPace(), calls: 0, rows: 0 });
    this.#schedule();
  }

  /** Gives an instance no new work. What it runs is answered. */
  detach(instance: ModelInstance): void {
    const index = this.#attached.findIndex((entry) => entry.instance === instance);
    const entry = this.#attached[index];
    if (entry === undefined) return;
    this.#attached.splice(index, 1);
    entry.stopListening();
    if (this.#reserved === entry) this.#unreserve();
    this.#schedule();
  }

  boarded(seat: Seat): void {
    seat.batch?.countBoarded();
  }

  abandoned(seat: Seat): void {
    const batch = seat.batch;
    if (batch?.cancelCall !== undefined && batch.wanted().length === 0) batch.cancelCall();
  }

  /** Refuses the requests that wait to be sent again. */
  flush(reason: Failure): void {
    for (const seat of this.#suspects.splice(0)) seat.fail(reason);
    this.#schedule();
  }

  settled(seat: Seat, outcome: Outcome): void {
    const now = this.#options.clock.now();
    this.#options.statistics.requestEnded(outcome, seat.grantedAt - seat.enqueuedAt, now - seat.enqueuedAt);
  }

  /** Joins everything that arrives in this turn of the event loop into one look at the line. */
  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#pump();
    });
  }

  #pump(): void {
    this.#pumpSuspects();
    const { line } = this.#options;
    while (line.length > 0 && !this.#heldBack()) {
      const entry = this.#freeInstance();
      if (entry === undefined) return;
      const waiters = line.take({ maxRows: this.#callRows(entry), maxBytes: this.#maxBytes });
      if (waiters.length === 0) return;
      const now = this.#options.clock.now();
      const batch = new Batch(waiters.map((waiter) => new Seat(waiter, now, this)));
      // Held in a constant first, see #send.
      const send = (): void => this.#send(batch, entry, "shared");
      batch.whenBoarded = send;
      this.#begin(entry, "shared", batch);
      for (const seat of batch.seats) seat.waiter.grant(seat);
    }
    if (!this.busy) this.#options.onIdle();
  }

  /** True while a configured delay lets a partial batch wait for company. */
  #heldBack(): boolean {
    const { line, delayMs, clock } = this.#options;
    const oldest = line.oldestAt;
    if (delayMs === 0 || oldest === undefined || this.#waitingShare() >= 1) return false;
    const remaining = oldest + delayMs - clock.now();
    if (remaining <= 0) return false;
    this.#delay?.cancel();
    this.#delay = clock.after(remaining, () => this.#pump());
    return true;
  }

  /**
   * The least busy instance. One that is at work on all it can takes another call, to hide the hop between
   * processes, when that one is at least half full or the instance nearly done: until then small ones wait and grow.
   */
  #freeInstance(): Attached | undefined {
    let best: Attached | undefined;
    for (const entry of this.#attached) {
      if (!entry.instance.host.open || entry.calls > this.#concurrency) continue;
      if (best === undefined || entry.instance.host.running < best.instance.host.running) best = entry;
    }
    if (best === undefined || best.calls < this.#concurrency) return best;
    return this.#waitingShare() >= worthSendingAhead ? best : this.#nearlyDone();
  }

  /** The first instance whose one call is nearly over. Where none is, the line is looked at again when the first will be. */
  #nearlyDone(): Attached | undefined {
    if (this.#concurrency > 1) return undefined;
    const now = this.#options.clock.now();
    let first = Infinity;
    for (const entry of this.#attached) {
      const at = entry.pace.nearlyDoneAt;
      if (at === undefined || entry.calls > 1 || !entry.instance.host.open) continue;
      if (at <= now) return entry;
      first = Math.min(first, at);
    }
    if (first < Infinity) this.#lookAgain(first - now);
    return undefined;
  }

  #lookAgain(delayMs: number): void {
    if (this.#ahead !== undefined) return;
    this.#ahead = this.#options.clock.after(delayMs, () => {
      this.#ahead = undefined;
      this.#pump();
    });
  }

  /**
   * Rows of the next call at most. Where calls are long, callers who wait for their answers fall into two groups that
   * take turns. A small group's call is over before the large one is back, so each call takes half of all rows there
   * are, but not less than half a batch. A line that was told to wait for company waits for full calls.
   */
  #callRows({ pace, rows }: Attached): number {
    const { line, model, delayMs } = this.#options;
    const alone = this.#concurrency === 1 && this.#attached.length === 1;
    if (!alone || delayMs > 0 || pace.nearlyDoneAt === undefined) return model.maxBatch;
    const half = Math.max(line.rows + rows, model.maxBatch) / 2;
    return Math.min(model.maxBatch, Math.ceil(half));
  }

  /** How many calls what waits would fill, in rows or in bytes. */
  #waitingShare(): number {
    const { line, model } = this.#options;
    return Math.max(line.rows / model.maxBatch, line.bytes / this.#maxBytes);
  }

  #pumpSuspects(): void {
    while (this.#suspects.length > 0) {
      const entry = this.#attached.find((candidate) => candidate.instance.host.idle);
      if (entry === undefined) return this.#reserve();
      const seat = this.#suspects.shift();
      if (seat === undefined || seat.settledAlready) continue;
      const batch = new Batch([seat]);
      this.#begin(entry, "exclusive", batch);
      this.#send(batch, entry, "exclusive");
    }
    this.#unreserve();
  }

  /** Keeps ordinary calls off the least busy host, so that a suspect finds it empty. */
  #reserve(): void {
    if (this.#reserved !== undefined) return;
    let best: Attached | undefined;
    for (const entry of this.#attached) {
      const host = entry.instance.host;
      if (host.state !== "ready") continue;
      if (best === undefined || host.running < best.instance.host.running) best = entry;
    }
    this.#reserved = best;
    best?.instance.host.reserve();
  }

  #unreserve(): void {
    const reserved = this.#reserved;
    this.#reserved = undefined;
    reserved?.instance.host.release();
  }

  #begin(entry: Attached, kind: "shared" | "exclusive", { rows }: Batch): void {
    entry.calls++;
    entry.rows += rows;
    this.#calls++;
    entry.pace.began(this.#options.clock.now());
    entry.instance.host.begin(kind);
  }

  #finish(entry: Attached, kind: "shared" | "exclusive", { rows }: Batch): void {
    entry.calls--;
    entry.rows -= rows;
    this.#calls--;
    entry.pace.ended(this.#options.clock.now());
    entry.instance.host.finish(kind);
  }

  #send(batch: Batch, entry: Attached, kind: "shared" | "exclusive"): void {
    const seats = batch.wanted();
    if (seats.length === 0) return this.#finish(entry, kind, batch);
    const requests = seats.map((seat) => seat.waiter.bound);
    for (const seat of seats) seat.sends++;
    let rows = 0;
    for (const request of requests) rows += request.rows;
    const host = entry.instance.host;
    const timeoutMs = this.#options.timeoutMs * Math.max(1, Math.ceil(host.running / this.#concurrency));
    const deadline = this.#options.clock.after(timeoutMs, () => host.abandon());
    const ended = (): void => {
      deadline.cancel();
      batch.cancelCall = undefined;
      this.#finish(entry, kind, batch);
    };
    const call = entry.instance.infer(
      { requests, rows },
      {
        answered: (answer) => {
          ended();
          this.#answered(seats, rows, answer, entry);
        },
        failed: (reason) => {
          ended();
          this.#failed(seats, reason, entry);
        },
      },
    );
    // V8 puts a function that is written as the value of an assignment to a property into the old
    // generation, where it keeps the whole batch alive until the next major collection.
    const cancel = (): void => {
      call.cancel();
      ended();
    };
    batch.cancelCall = cancel;
  }

  /** The next call goes out before the answers do: the instance never waits for the writing. */
  #answered(seats: Seat[], rows: number, answer: InstanceAnswer, entry: Attached): void {
    const { model, statistics } = this.#options;
    entry.instance.host.hasAnswered = true;
    statistics.callEnded(rows, answer);
    const computeMs = answer.computeNs === undefined ? undefined : answer.computeNs / 1e6;
    const instance = entry.instance.id;
    const deliver = (): void => {
      for (const [index, seat] of seats.entries()) {
        const queueMs = seat.grantedAt - seat.enqueuedAt;
        const timing = { queueMs, computeMs, batchRows: rows, instance };
        // What was sent twice may still be on its way to the other instance.
        const spent = seat.sends === 1 ? answer.spent : undefined;
        seat.answer({ model, outputs: answer.outputs[index] ?? [], timing }, spent);
      }
    };
    if (this.#options.line.length === 0) return deliver();
    this.#pump();
    setImmediate(deliver);
  }

  #failed(seats: Seat[], reason: InstanceFailure, entry: Attached): void {
    const { atFault } = reason;
    if (atFault === undefined || atFault.size === 0) {
      for (const seat of seats) this.#decideAgain(seat, seats.length, reason);
    } else {
      const innocent = seats.filter((seat, index) => {
        if (atFault.has(index)) seat.fail(reason.failure);
        return !atFault.has(index);
      });
      this.#sendAgain(innocent, reason, entry);
    }
    this.#schedule();
  }

  /** Requests that shared a call with a bad one go out again together, where they were. */
  #sendAgain(seats: Seat[], reason: InstanceFailure, entry: Attached): void {
    if (!entry.instance.host.open) {
      for (const seat of seats) this.#decideAgain(seat, seats.length + 1, reason);
      return;
    }
    const batch = new Batch(seats);
    this.#begin(entry, "shared", batch);
    this.#send(batch, entry, "shared");
  }

  /** What becomes of a request whose call failed. */
  #decideAgain(seat: Seat, company: number, reason: InstanceFailure): void {
    if (seat.settledAlready) return;
    if (reason.kind === "died" && ++seat.deaths > 1) return seat.fail(failure("model_crashed"));
    if (reason.kind === "refused" && company === 1) return seat.fail(reason.failure);
    if (reason.kind !== "died" && ++seat.repeats > maxRepeats) return seat.fail(reason.failure);
    this.#suspects.push(seat);
    const { clock } = this.#options;
    const remaining = seat.waiter.request.deadline - clock.now();
    if (remaining === Infinity) return;
    clock.after(Math.max(0, remaining), () => this.#expire(seat));
  }

  #expire(seat: Seat): void {
    const index = this.#suspects.indexOf(seat);
    if (index < 0) return;
    this.#suspects.splice(index, 1);
    seat.fail(failure("queue_timeout", undefined, 1_000));
  }
}
