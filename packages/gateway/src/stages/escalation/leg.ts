/** One place that is asked for a request: the sink of its answer, which is passed on as it comes or held back whole. */
import type { Upstream } from "../../contracts/endpoint.ts";
import type { ForwardDecision } from "../../contracts/http-endpoint.ts";
import type { Exchange, ResponseSink } from "../../contracts/sink.ts";
import type { Failure } from "../../core/errors.ts";
import type { ForwardPayload } from "../../core/forward.ts";
import type { HeaderList } from "../../core/headers.ts";
import type { InferenceRequest, WireAnswer } from "../../core/request.ts";
import { NotedLease } from "./noted-lease.ts";

/** The place that the route names first, or the one that it escalates to. */
export type Place = "edge" | "cloud";

/** Who asks the place. Once `opened` has been called the caller's sink gets what follows. */
export interface LegOwner {
  /** The answer is whole, nothing of it was passed on. It may be a server's refusal. */
  answered(leg: Leg, answer: WireAnswer): void;
  /** There is no answer, and nothing was passed on. */
  failed(leg: Leg, reason: Failure): void;
  /** Its answer is passed on from here: the headers to begin with. */
  opened(leg: Leg, headers: HeaderList): HeaderList;
  /** The last word of an answer that is passed on follows. */
  ending(leg: Leg): void;
}

/** How an answer is taken. */
export interface LegOptions {
  readonly place: Place;
  /** Bytes of an answer that are held back for its end; 0: it is passed on as it comes. */
  readonly maxHeldBytes: number;
}

/** Carries one decision. */
export class Leg implements ResponseSink {
  readonly place: Place;
  readonly request: InferenceRequest<ForwardPayload>;
  readonly #owner: LegOwner;
  readonly #sink: ResponseSink;
  readonly #lease: NotedLease;
  readonly #maxHeldBytes: number;
  #head: { readonly status: number; readonly headers: HeaderList } | undefined;
  #held: Uint8Array[] = [];
  #heldBytes = 0;
  #isOpen = false;
  #exchange: Exchange | undefined;

  constructor(owner: LegOwner, sink: ResponseSink, decision: ForwardDecision, options: LegOptions) {
    this.#owner = owner;
    this.#sink = sink;
    this.place = options.place;
    this.#maxHeldBytes = options.maxHeldBytes;
    this.request = decision.request;
    this.#lease = new NotedLease(decision.lease);
  }

  /** True for an answer that came whole and without a failure on the way. */
  get isGood(): boolean {
    return this.#lease.outcome === "ok";
  }

  /** True once something was passed on. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  start(upstream: Upstream<ForwardDecision>, decision: ForwardDecision): void {
    this.#exchange = upstream.carry({ ...decision, lease: this.#lease }, this);
  }

  resume(): void {
    this.#exchange?.resume();
  }

  cancel(): void {
    this.#exchange?.cancel("client_gone");
  }

  whole(answer: WireAnswer): void {
    this.#owner.answered(this, answer);
  }

  head(status: number, headers: HeaderList): void {
    this.#head = { status, headers };
    if (this.#maxHeldBytes === 0) this.#open();
  }

  data(chunk: Uint8Array): boolean {
    if (this.#isOpen) return this.#sink.data(chunk);
    this.#held.push(chunk);
    this.#heldBytes += chunk.length;
    return this.#heldBytes <= this.#maxHeldBytes || this.#open();
  }

  gather(): void {
    if (this.#isOpen) this.#sink.gather?.();
  }

  end(): void {
    if (this.#head !== undefined && !this.#isOpen) {
      const body = this.#held;
      this.#held = [];
      return this.#owner.answered(this, { ...this.#head, body });
    }
    this.#owner.ending(this);
    this.#sink.end();
  }

  fail(reason: Failure): void {
    if (!this.#isOpen) {
      this.#held = [];
      return this.#owner.failed(this, reason);
    }
    this.#owner.ending(this);
    this.#sink.fail(reason);
  }

  /** Passes on what is held and from here everything. False: the caller takes no more for now. */
  #open(): boolean {
    if (this.#head === undefined) return true;
    this.#isOpen = true;
    const { status, headers } = this.#head;
    this.#sink.head(status, this.#owner.opened(this, headers));
    let takesMore = true;
    for (const piece of this.#held) takesMore = this.#sink.data(piece);
    this.#held = [];
    return takesMore;
  }
}
