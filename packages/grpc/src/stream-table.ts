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
 * Streams by identifier, in an array in the order of their identifiers, which is that in which they are opened. A map that entries come to and go from at the rate of calls leaves old tables behind, which
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

  /** Those behind move up, so that identifiers stay in order. */
  #takeOut(index: number): void {
    if (index === this.#streams.length - 1) this.#streams.pop();
    else this.#streams.splice(index, 1);
  }

  /** By halves: a proxy may have ten thousand long streams open. The newest first, since most frames belong to it. */
  #indexOf(id: number): number {
    const streams = this.#streams;
    let high = streams.length - 1;
    if (streams[high]?.id === id) return high;
    let low = 0;
    while (low <= high) {
      const middle = (low + high) >> 1;
      const found = streams[middle]?.id ?? 0;
      if (found === id) return middle;
      if (found < id) low = middle + 1;
      else high = middle - 1;
    }
    return -1;
  }

  #remember(id: number): void {
    this.#closed[this.#closedCount++ & (rememberedStreams - 1)] = id;
  }
}
