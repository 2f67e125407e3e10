/** Image queries that are answered behind their callers' backs: a few at a time, in order, bounded. */

/** How many run at once: enough to keep a model busy, too few to crowd out callers who wait. */
const maxRunning = 8;

/** How many may wait. */
const maxWaiting = 1_000;

/** Bytes of pictures that may wait. */
const maxWaitingBytes = 67_108_864;

interface Work {
  readonly bytes: number;
  /** Never rejects. */
  run(): Promise<unknown>;
}

/** A queue of them. */
export class LaterQueries {
  readonly #waiting: Work[] = [];
  #bytes = 0;
  #running = 0;
  #isClosed = false;

  /** True while one more with a picture of so many bytes fits. */
  hasRoom(bytes: number): boolean {
    if (this.#isClosed || this.#waiting.length >= maxWaiting) return false;
    return this.#waiting.length === 0 || this.#bytes + bytes <= maxWaitingBytes;
  }

  /** Runs it when its turn comes; what is still waiting at the end stays in the store. */
  add(work: Work): void {
    this.#waiting.push(work);
    this.#bytes += work.bytes;
    this.#next();
  }

  /** Begins no more. Idempotent. */
  close(): void {
    this.#isClosed = true;
    this.#waiting.length = 0;
    this.#bytes = 0;
  }

  #next(): void {
    while (this.#running < maxRunning) {
      const work = this.#waiting.shift();
      if (work === undefined) return;
      this.#bytes -= work.bytes;
      this.#running += 1;
      void work.run().then(() => {
        this.#running -= 1;
        this.#next();
      });
    }
  }
}
