/**
 * The streams that are open, linked to each other: a set that streams come to and go from at the rate of requests leaves
 * old tables behind, which keep dead streams reachable.
 */
import type { ProcessStream } from "./process-stream.ts";

/** A list that takes and gives up streams in constant time. */
export class OpenStreams {
  #first: ProcessStream | undefined;
  #size = 0;
  #onEmpty: (() => void) | undefined;

  get size(): number {
    return this.#size;
  }

  add(stream: ProcessStream): void {
    stream.next = this.#first;
    if (this.#first !== undefined) this.#first.previous = stream;
    this.#first = stream;
    this.#size++;
  }

  /** Each stream once. */
  remove(stream: ProcessStream): void {
    if (stream.previous === undefined) this.#first = stream.next;
    else stream.previous.next = stream.next;
    if (stream.next !== undefined) stream.next.previous = stream.previous;
    stream.previous = undefined;
    stream.next = undefined;
    this.#size--;
    if (this.#size === 0) this.#isEmpty();
  }

  /** Calls back once, when none is open: at once where that is so now. */
  whenEmpty(listener: () => void): void {
    this.#onEmpty = listener;
    if (this.#size === 0) this.#isEmpty();
  }

  #isEmpty(): void {
    const listener = this.#onEmpty;
    this.#onEmpty = undefined;
    listener?.();
  }

  /** Calls back for each; it may leave meanwhile. */
  each(tell: (stream: ProcessStream) => void): void {
    let next: ProcessStream | undefined;
    for (let stream = this.#first; stream !== undefined; stream = next) {
      next = stream.next;
      tell(stream);
    }
  }
}
