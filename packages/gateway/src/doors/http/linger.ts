/** What still comes of a body whose answer is written: thrown away for a while, so that the client gets to read the answer. */
import type { Clock, Timer } from "../../core/clock.ts";
import type { BodyRequest, BodySink } from "./body-request.ts";

/** So long; less long for what cannot be read. */
const lingerMs = 2_000;
const brokenMs = 250;

/** Bytes that are thrown away at most. */
const lingerBytes = 8_388_608;

/** Reads from when it is made until it is done or stopped. */
export class Linger implements BodySink {
  readonly #timer: Timer;
  readonly #done: () => void;
  #bytes = 0;

  /** `done` is called once the body is over, or too much or too long to wait for. It may be called again. */
  constructor(
    clock: Clock,
    request: BodyRequest,
    { isBroken, done }: { readonly isBroken: boolean; readonly done: () => void },
  ) {
    this.#done = done;
    this.#timer = clock.after(isBroken ? brokenMs : lingerMs, done);
    request.feed(this);
  }

  received(piece: Uint8Array): void {
    this.#bytes += piece.length;
    if (this.#bytes > lingerBytes) this.#done();
  }

  receivedAll(): void {
    this.#done();
  }

  /** Stops waiting. */
  stop(): void {
    this.#timer.cancel();
  }
}
