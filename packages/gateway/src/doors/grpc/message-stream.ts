/** Streams of messages: each is a call of its own, and the answers go out in the order of the messages. */
import type { StreamServerCall } from "@spillway/grpc";
import type { CancelReason } from "../../core/cancellation.ts";
import { failure, type Failure } from "../../core/errors.ts";
import { MessageExchange, type MessageOutcome } from "./message-exchange.ts";
import { cancelReason, type OpenCall, type OpenStream } from "./rpc-context.ts";
import { failureMetadata, statusOf } from "./rpc-status.ts";

/** Messages of one stream that are worked on at once, by number and by size; beyond it the client is held back. */
const maxPending = { messages: 64, bytes: 16_777_216 };

/** A message in its place. */
interface Place {
  readonly exchange: MessageExchange;
  readonly bytes: number;
  outcome: MessageOutcome | undefined;
}

/** Answers a stream whose head is in. Sets all its listeners before it returns. */
export function answerStream(open: OpenCall<StreamServerCall>): void {
  new MessageStream(open).listen();
}

class MessageStream implements OpenStream {
  readonly #open: OpenCall<StreamServerCall>;
  readonly #places: Place[] = [];
  #pendingBytes = 0;
  /** The client takes answers. */
  #isWritable = true;
  #isPaused = false;
  /** A message has come. */
  #hasBegun = false;
  /** The client has sent its last message. */
  #isHalfClosed = false;
  #isDraining = false;
  #isClosed = false;

  constructor(open: OpenCall<StreamServerCall>) {
    this.#open = open;
  }

  listen(): void {
    const { call, head, context } = this.#open;
    call.onMessage((message) => this.#received(message));
    call.onEnd(() => {
      this.#isHalfClosed = true;
      this.#flush();
    });
    call.onDrain(() => {
      this.#isWritable = true;
      this.#flush();
    });
    call.onCancel(() => this.#close(cancelReason(call, head, context)));
    this.#open.streams.add(this);
  }

  /** What the client has sent is still answered. */
  drain(): void {
    this.#isDraining = true;
    this.#flush();
  }

  #received(message: Uint8Array): void {
    if (this.#isClosed) return;
    const { call, context, head, method, meter } = this.#open;
    const exchange = new MessageExchange({
      context,
      head,
      method,
      meter,
      path: call.path,
      timeoutMs: call.timeoutMs,
      message,
      receivedAt: context.clock.now(),
      isFurther: this.#hasBegun,
      done: (outcome) => {
        place.outcome = outcome;
        this.#flush();
      },
    });
    this.#hasBegun = true;
    const place: Place = { exchange, bytes: message.length, outcome: undefined };
    this.#places.push(place);
    this.#pendingBytes += message.length;
    this.#holdBack();
    exchange.start();
  }

  /** Sends what is at its turn. A failure without words of its own in the stream ends it. */
  #flush(): void {
    const { call, head } = this.#open;
    while (this.#isWritable && !this.#isClosed) {
      const [first] = this.#places;
      if (first?.outcome === undefined) break;
      this.#places.shift();
      this.#pendingBytes -= first.bytes;
      const { outcome } = first;
      if ("message" in outcome) this.#isWritable = call.send(outcome.message);
      else this.#fail(outcome.failure);
    }
    if (this.#isClosed) return;
    this.#holdBack();
    if (this.#places.length > 0 || this.#isClosed) return;
    if (this.#isHalfClosed) {
      this.#close("client_gone");
      call.end([["x-request-id", head.requestId]]);
    } else if (this.#isDraining) this.#fail(failure("draining"));
  }

  #fail(reason: Failure): void {
    const { call, head } = this.#open;
    this.#close("client_gone");
    call.fail(statusOf(reason), reason.message, failureMetadata(reason, head.requestId));
  }

  #holdBack(): void {
    const full = this.#places.length >= maxPending.messages || this.#pendingBytes >= maxPending.bytes;
    if (full === this.#isPaused) return;
    this.#isPaused = full;
    if (full) this.#open.call.pause();
    else this.#open.call.resume();
  }

  /** Calls off what still runs: nobody can be answered any more. */
  #close(reason: CancelReason): void {
    this.#isClosed = true;
    this.#open.streams.delete(this);
    for (const { exchange } of this.#places.splice(0)) exchange.cancel(reason);
  }
}
