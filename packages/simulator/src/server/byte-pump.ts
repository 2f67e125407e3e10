/** Writes bytes to an answer, at once or in small pieces at a slow pace. */
import type { ServerResponse } from "node:http";
import type { Fault } from "./fault.ts";

/** Where an answer's bytes go. */
export interface ByteSink {
  write(text: string): void;
  /** Ends the answer after what was written. */
  end(): void;
}

/**
 * Writes straight through. Chunks are framed here: a string with its frame around it is one write to the socket, where
 * node:http makes three.
 */
export class DirectSink implements ByteSink {
  readonly #response: ServerResponse;
  readonly #framed: boolean;

  /** The head must be sent already. */
  constructor(response: ServerResponse) {
    this.#response = response;
    this.#framed = response.chunkedEncoding;
    response.chunkedEncoding = false;
  }

  write(text: string): void {
    if (this.#framed) this.#response.write(`${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`);
    else this.#response.write(text);
  }

  /** One piece of bytes that need not be whole characters. */
  writeBytes(bytes: Buffer): void {
    if (!this.#framed) {
      this.#response.write(bytes);
      return;
    }
    this.#response.write(`${bytes.length.toString(16)}\r\n`);
    this.#response.write(bytes);
    this.#response.write("\r\n");
  }

  end(): void {
    if (this.#framed) this.#response.end("0\r\n\r\n");
    else this.#response.end();
  }
}

/** Sends pieces of a few bytes, one after the other. */
export class SlowSink implements ByteSink {
  readonly #sink: DirectSink;
  readonly #pace: NonNullable<Fault["slow"]>;
  readonly #response: ServerResponse;
  #queue: Buffer[] = [];
  #ending = false;
  #busy = false;

  constructor(response: ServerResponse, pace: NonNullable<Fault["slow"]>) {
    this.#response = response;
    this.#sink = new DirectSink(response);
    this.#pace = pace;
  }

  write(piece: string | Buffer): void {
    this.#queue.push(typeof piece === "string" ? Buffer.from(piece) : piece);
    this.#next();
  }

  end(): void {
    this.#ending = true;
    this.#next();
  }

  #next(): void {
    if (this.#busy || this.#response.destroyed) return;
    const piece = this.#take();
    if (piece === undefined) {
      if (this.#ending) this.#sink.end();
      return;
    }
    this.#sink.writeBytes(piece);
    this.#busy = true;
    const again = (): void => {
      this.#busy = false;
      this.#next();
    };
    if (this.#pace.everyMs > 0) setTimeout(again, this.#pace.everyMs);
    else setImmediate(again);
  }

  #take(): Buffer | undefined {
    const [first] = this.#queue;
    if (first === undefined) return undefined;
    const size = Math.max(1, Math.floor(this.#pace.bytes));
    if (first.length > size) this.#queue[0] = first.subarray(size);
    else this.#queue.shift();
    return first.subarray(0, size);
  }
}
