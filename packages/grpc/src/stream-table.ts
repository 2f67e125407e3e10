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

/**
 * Streams by identifier, in an array that is searched: a connection has a few open, a few hundred at
 * most. A map that entries come to and go from at the rate of calls leaves old tables behind, which
 * keep dead streams, and all that hangs on them, reachable until a full collection: a third of
 * everything a call allocates then outlives the young generation.
 */
export class StreamTable {
  readonly #streams: Stream[] = [];
  /** A ring of closed identifiers; negative when we reset the stream. */
  readonly #closed = new Int32Array(rememberedStreams);
  #closedCount = 0;
  #lastId = 0;

  /** Open streams. */
  get size(): number {
    return this.#streams.length;
  }

  /** Highest identifier opened so far. */
  get lastId(): number {
    return this.#lastId;
  }

  get(id: number): Stream | undefined {
    const index = this.#indexOf(id);
    return index < 0 ? undefined : this.#streams[index];
  }

  add(stream: Stream): void {
    this.#streams.push(stream);
    this.#lastId = stream.id;
  }

  /** Counts an identifier as used without opening a stream (a refused one). */
  skip(id: number): void {
    this.#lastId = id;
    this.#remember(-id);
  }

  remove(stream: Stream, how: "ended" | "reset"): void {
    const index = this.#indexOf(stream.id);
    if (index >= 0) this.#takeOut(index);
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
    return this.#streams.filter((stream) => stream.id > id);
  }

  /** As they are now; streams may come and go while the list is walked. */
  all(): readonly Stream[] {
    return [...this.#streams];
  }

  /** Ends every stream at once. */
  clear(cause: ResetCause): void {
    const streams = this.#streams.splice(0);
    for (const stream of streams) stream.gone = true;
    for (const stream of streams) {
      stream.handler.streamGone();
      stream.handler.streamReset(http2Error.noError, cause);
    }
  }

  /** The last takes the place of the one that goes. */
  #takeOut(index: number): void {
    const last = this.#streams.pop();
    if (last !== undefined && index < this.#streams.length) this.#streams[index] = last;
  }

  /** The newest first: most frames belong to the calls begun last. */
  #indexOf(id: number): number {
    let index = this.#streams.length - 1;
    while (index >= 0 && this.#streams[index]?.id !== id) index--;
    return index;
  }

  #remember(id: number): void {
    this.#closed[this.#closedCount++ & (rememberedStreams - 1)] = id;
  }
}
