/**
 * Hands the body of one request on as it arrives. Node does not notice that a client has left while
 * its upload is paused, so the connection is paused only when `heldBytes` wait to be taken: until then
 * a departure is noticed at once, after that when the taker goes on.
 */
import type { BodyStream, BodyStreamSink } from "../../contracts/body-stream.ts";
import { failure, type Failure } from "../../core/errors.ts";
import type { BodyRequest, BodySink } from "./body-request.ts";
import type { ByteBudget } from "./byte-budget.ts";
import { bodyEncodingOf } from "./decode-body.ts";

/** Bytes of one upload that are held for a taker that is slower than the client. */
const heldBytes = 8 * 1024 * 1024;

/** What an upload needs. */
export interface BodyUploadOptions {
  readonly request: BodyRequest;
  readonly budget: ByteBudget;
  /** Called when the body is wanted: the client may wait to be told. */
  readonly wanted: () => void;
}

/** A body that is streamed. */
export class BodyUpload implements BodyStream, BodySink {
  readonly length: number | undefined;
  readonly #request: BodyRequest;
  readonly #budget: ByteBudget;
  readonly #wanted: () => void;
  #sink: BodyStreamSink | undefined;
  #waiting: Uint8Array[] = [];
  #held = 0;
  #isPaused = false;
  /** The connection is not read. */
  #isHalted = false;
  #isComplete = false;

  constructor({ request, budget, wanted }: BodyUploadOptions) {
    this.#request = request;
    this.#budget = budget;
    this.#wanted = wanted;
    const length = request.headers["content-length"];
    this.length = length === undefined ? undefined : Number(length);
  }

  read(sink: BodyStreamSink): void {
    this.#sink = sink;
    this.#wanted();
    this.#request.feed(this);
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    const pieces = this.#waiting;
    let taken = 0;
    while (!this.#isPaused && taken < pieces.length) this.#hand(pieces[taken++]);
    pieces.splice(0, taken);
    if (pieces.length > 0) return;
    this.#goOn();
    if (this.#isComplete) this.#end();
  }

  received(piece: Uint8Array): void {
    const sink = this.#sink;
    if (sink === undefined) return;
    if (!this.#isPaused && this.#waiting.length === 0) return sink.data(piece);
    this.#waiting.push(piece);
    this.#held += piece.length;
    if (!this.#budget.take(piece.length)) {
      this.#budget.force(piece.length);
      return this.#halt();
    }
    if (this.#held >= heldBytes) this.#halt();
  }

  receivedAll(): void {
    this.#isComplete = true;
    if (this.#waiting.length === 0 && !this.#isPaused) this.#end();
  }

  /** Nobody wants the body any more; gives back what it held. What still arrives is thrown away. Idempotent. */
  close(): void {
    this.#sink = undefined;
    this.#waiting = [];
    this.#budget.release(this.#held);
    this.#held = 0;
    this.#goOn();
  }

  #hand(piece: Uint8Array | undefined): void {
    if (piece === undefined || this.#sink === undefined) return;
    this.#held -= piece.length;
    this.#budget.release(piece.length);
    this.#sink.data(piece);
  }

  #end(): void {
    const sink = this.#sink;
    this.#sink = undefined;
    sink?.end();
  }

  #halt(): void {
    if (this.#isHalted) return;
    this.#isHalted = true;
    this.#request.halt();
  }

  #goOn(): void {
    if (!this.#isHalted) return;
    this.#isHalted = false;
    this.#request.goOn();
  }
}

/** What the headers alone say against a streamed body: it is handed on as it is, so it may not be encoded. */
export function uploadRefusal({ headers }: BodyRequest): Failure | undefined {
  if (bodyEncodingOf(headers["content-encoding"]) === "identity") return undefined;
  return failure("unsupported_media_type", "An upload is taken as it is, without a Content-Encoding");
}
