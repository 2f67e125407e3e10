/** The open streams of one connection, and what is remembered of those that have closed. */
import { http2Error } from "./http2-codes.ts";
import type { ResetCause, Stream } from "./stream.ts";

/** What is known of a stream identifier that is not open. */
export type ClosedKind =
  /** Never used by the peer or us. */
  | "idle"
  /** Ended by both sides, or reset by the peer. */
  | "ended"
  /** Reset by us: frames may still be on their way. */
  | "reset"
  /** Skipped, or closed too long ago to know how. */
  | "forgotten";

/** Closed streams remembered; a power of two. */
const rememberedStreams = 512;

/** Streams by identifier. */
export class StreamTable {
  readonly #streams = new Map<number, Stream>();
  /** A ring of closed identifiers; negative when we reset the stream. */
  readonly #closed = new Int32Array(rememberedStreams);
  #closedCount = 0;
  #lastId = 0;

  /** Open streams. */
  get size(): number {
    return this.#streams.size;
  }

  /** Highest identifier opened so far. */
  get lastId(): number {
    return this.#lastId;
  }

  get(id: number): Stream | undefined {
    return this.#streams.get(id);
  }

  add(stream: Stream): void {
    this.#streams.set(stream.id, stream);
    this.#lastId = stream.id;
  }

  /** Counts an identifier as used without opening a stream (a refused one). */
  skip(id: number): void {
    this.#lastId = id;
    this.#remember(-id);
  }

  remove(stream: Stream, how: "ended" | "reset"): void {
    this.#streams.delete(stream.id);
    stream.gone = true;
    this.#remember(how === "reset" ? -stream.id : stream.id);
  }

  closedKind(id: number): ClosedKind {
    if (id > this.#lastId) return "idle";
    if (this.#closed.includes(id)) return "ended";
    return this.#closed.includes(-id) ? "reset" : "forgotten";
  }

  /** Streams above an identifier: those the peer will not process after its GOAWAY. */
  above(id: number): Stream[] {
    return [...this.#streams.values()].filter((stream) => stream.id > id);
  }

  all(): IterableIterator<Stream> {
    return this.#streams.values();
  }

  /** Ends every stream at once. */
  clear(cause: ResetCause): void {
    const streams = [...this.#streams.values()];
    this.#streams.clear();
    for (const stream of streams) stream.gone = true;
    for (const stream of streams) {
      stream.handler.streamGone();
      stream.handler.streamReset(http2Error.noError, cause);
    }
  }

  #remember(id: number): void {
    this.#closed[this.#closedCount++ & (rememberedStreams - 1)] = id;
  }
}
