/** A request that hands its body over piece by piece, without Node's stream queue in between. */

/** Taken from the process: importing `node:http` by name evaluates all its exports and costs 12 MB. */
const { IncomingMessage } = process.getBuiltinModule("node:http");

/** Where the pieces of a body go. Called synchronously, as they come off the socket. */
export interface BodySink {
  /** The piece is the sink's from now on, its memory included. */
  received(piece: Uint8Array): void;
  /** The body is complete. */
  receivedAll(): void;
}

/**
 * Node's parser gives each piece of a body to `push`. Taking it there spares two turns of the event
 * loop's tick queue and a listener each, a tenth of what a small request costs, and never pauses the
 * connection. A body that a sink has taken whole leaves Node's stream with nothing to read, end or
 * destroy: it is ended without any of that. Unread bodies take the usual way, and are thrown away
 * when the request is answered.
 */
export class BodyRequest extends IncomingMessage {
  #sink: BodySink | undefined;
  /** All of the body went to the sink, and nothing of it through Node's queue. */
  #isTaken = false;

  static {
    // Node's own property, which says that the queue is empty for good: its server then lets go of the request.
    Object.defineProperty(this.prototype, "readableEnded", {
      get(this: BodyRequest): boolean {
        return this.#isTaken || Reflect.get(IncomingMessage.prototype, "readableEnded", this) === true;
      },
    });
  }

  /** Starts to hand over the body, or goes on to another sink. */
  feed(sink: BodySink): void {
    const isUntouched = this.readableLength === 0 && !this.complete && this.readableFlowing === null;
    if (this.#sink !== undefined || isUntouched) {
      this.#sink = sink;
      return;
    }
    // Some of it was queued while nobody was there to take it.
    this.on("data", (piece: Uint8Array) => sink.received(piece));
    this.on("end", () => sink.receivedAll());
  }

  /** The connection is not read until `goOn`. What Node has queued asks for more by itself: it is paused too. */
  halt(): void {
    if (this.#sink === undefined) this.pause();
    this.socket.pause();
  }

  /** The connection is read again. */
  goOn(): void {
    this.socket.resume();
    if (this.#sink === undefined) this.resume();
  }

  override push(piece: Uint8Array | null, encoding?: BufferEncoding): boolean {
    const sink = this.#sink;
    if (sink === undefined) return super.push(piece, encoding);
    if (piece !== null) {
      sink.received(piece);
      return true;
    }
    this.#isTaken = this.readableFlowing === null;
    if (!this.#isTaken) super.push(null);
    sink.receivedAll();
    return true;
  }

  /** Node resumes a request that was answered, to throw away what is left of it. */
  override resume(): this {
    return this.#isTaken ? this : super.resume();
  }
}
