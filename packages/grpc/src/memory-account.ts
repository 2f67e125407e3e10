/** Counts the bytes that all calls of a server or channel keep, against one bound. */

/** A sum with a bound. */
export class MemoryAccount {
  readonly #maxBytes: number;
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Adds if the bound allows; false changes nothing. */
  take(bytes: number): boolean {
    if (this.#bytes + bytes > this.#maxBytes) return false;
    this.#bytes += bytes;
    return true;
  }

  /** Adds whatever the bound says: for bytes that are in memory already. */
  force(bytes: number): void {
    this.#bytes += bytes;
  }

  release(bytes: number): void {
    this.#bytes -= bytes;
  }
}
