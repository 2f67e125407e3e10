/** A large body that is there already, sent a part each turn of the event loop. */
import type { BodyStream, BodyStreamSink } from "../../contracts/body-stream.ts";

/** Bytes in one turn: the system takes them in well under a millisecond, and ten megabytes at once in several. */
const sentInATurn = 1_048_576;

/** Bytes of a body and what follows it. */
export function bodyBytes(body: Uint8Array, rest: readonly Uint8Array[] | undefined): number {
  return rest === undefined ? body.length : rest.reduce((sum, piece) => sum + piece.length, body.length);
}

/** Hands over views of the pieces. */
export class HeldBody implements BodyStream {
  readonly length: number;
  readonly #pieces: readonly Uint8Array[];
  #sink: BodyStreamSink | undefined;
  #piece = 0;
  #from = 0;
  #isPaused = false;
  #isDue = false;

  constructor(body: Uint8Array, rest: readonly Uint8Array[] = []) {
    this.#pieces = [body, ...rest];
    this.length = bodyBytes(body, rest);
  }

  read(sink: BodyStreamSink): void {
    this.#sink = sink;
    this.#give();
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.#goOn();
  }

  /** Also where the system has taken all of it at once: others get their turn. */
  #goOn(): void {
    if (this.#isDue || this.#isPaused) return;
    this.#isDue = true;
    setImmediate(() => {
      this.#isDue = false;
      if (!this.#isPaused) this.#give();
    });
  }

  #give(): void {
    let room = sentInATurn;
    while (room > 0) {
      const piece = this.#pieces[this.#piece];
      if (piece === undefined) break;
      const part = piece.subarray(this.#from, this.#from + room);
      room -= part.length;
      this.#from += part.length;
      if (this.#from >= piece.length) {
        this.#piece++;
        this.#from = 0;
      }
      this.#sink?.data(part);
    }
    if (this.#piece < this.#pieces.length) this.#goOn();
    else this.#end();
  }

  #end(): void {
    const sink = this.#sink;
    this.#sink = undefined;
    sink?.end();
  }
}
