/**
 * Requests that travel in one call. A seat is one request's place in it: the lease it holds, and
 * the running answer the door sees.
 */
import type { Lease } from "../contracts/lease.ts";
import type { Waiter } from "../contracts/line.ts";
import type { Exchange, ResponseSink } from "../contracts/sink.ts";
import type { CancelReason } from "../core/cancellation.ts";
import { failure, isFailure, toFailure, type Failure } from "../core/errors.ts";
import type { Outcome } from "../core/outcome.ts";
import type { TensorAnswer, WireAnswer } from "../core/request.ts";
import type { SpentMemory } from "../core/wire-answer.ts";

/** What a seat tells its owner. */
export interface SeatOwner {
  /** The request has been carried, or will not be: the batch may be complete. */
  boarded(seat: Seat): void;
  /** Nobody wants the answer any more. */
  abandoned(seat: Seat): void;
  settled(seat: Seat, outcome: Outcome): void;
}

/** One request's place in a call. Survives the call: after a crash it is sent again in another. */
export class Seat implements Lease, Exchange {
  readonly waiter: Waiter;
  readonly enqueuedAt: number;
  readonly grantedAt: number;
  readonly #owner: SeatOwner;
  #sink: ResponseSink | undefined;
  #boarded = false;
  #settled = false;
  /** Hosts that died while this request ran there. */
  deaths = 0;
  /** Calls that ended through no fault of the request. */
  repeats = 0;
  /** Calls it was sent in. */
  sends = 0;
  batch: Batch | undefined;

  constructor(waiter: Waiter, grantedAt: number, owner: SeatOwner) {
    this.waiter = waiter;
    this.enqueuedAt = waiter.enqueuedAt;
    this.grantedAt = grantedAt;
    this.#owner = owner;
  }

  get settledAlready(): boolean {
    return this.#settled;
  }

  /** The door's sink arrives; the request may be sent from now on. */
  board(sink: ResponseSink): void {
    this.#sink = sink;
    this.waiter.request.cancellation.listen(() => this.settle("client_gone"));
    this.#board();
  }

  /** `spent` is what the call leaves behind. */
  answer(answer: TensorAnswer, spent?: SpentMemory): void {
    if (this.#settled) return;
    try {
      const wire = this.waiter.request.payload.write(answer);
      if (wire instanceof Promise) void wire.then((later) => this.#deliver(later, spent));
      else this.#deliver(wire, spent);
    } catch (error) {
      this.fail(toFailure(error));
    }
  }

  fail(reason: Failure): void {
    if (this.#settled) return;
    this.#end(reason.code);
    this.#sink?.fail(reason);
  }

  /** Releases the place. Before the answer it means that nobody waits for it any more. */
  settle(outcome: Outcome): void {
    if (this.#settled) return;
    this.#end(outcome);
    this.#owner.abandoned(this);
    this.#board();
  }

  resume(): void {}

  cancel(reason: CancelReason): void {
    this.waiter.request.cancellation.cancel(reason);
    this.fail(failure("client_gone"));
  }

  #deliver(wire: WireAnswer | Failure, spent: SpentMemory | undefined): void {
    if (this.#settled) return;
    if (isFailure(wire)) return this.fail(wire);
    this.#end("ok");
    this.#sink?.whole(wire, spent);
  }

  #board(): void {
    if (this.#boarded) return;
    this.#boarded = true;
    this.#owner.boarded(this);
  }

  #end(outcome: Outcome): void {
    this.#settled = true;
    this.waiter.request.cancellation.listen(undefined);
    this.#owner.settled(this, outcome);
  }
}

/** Seats that share a call. */
export class Batch {
  readonly seats: readonly Seat[];
  /** Of all its seats, wanted or not. */
  readonly rows: number;
  #unboarded: number;
  /** Ends the running call; set while one runs. */
  cancelCall: (() => void) | undefined;
  /**
   * Sends the batch. It is kept here and not in a map of the batcher's: a map that entries come to and
   * go from leaves old tables behind, which chain dead requests to live ones until a full collection.
   */
  whenBoarded: (() => void) | undefined;

  constructor(seats: readonly Seat[]) {
    this.seats = seats;
    this.#unboarded = seats.length;
    let rows = 0;
    for (const seat of seats) {
      seat.batch = this;
      rows += seat.waiter.bound.rows;
    }
    this.rows = rows;
  }

  /** Counts a seat as boarded; the last one sends the batch. */
  countBoarded(): void {
    if (--this.#unboarded > 0) return;
    const send = this.whenBoarded;
    this.whenBoarded = undefined;
    send?.();
  }

  /** Seats whose answer somebody still waits for. */
  wanted(): Seat[] {
    return this.seats.filter((seat) => !seat.settledAlready);
  }
}
