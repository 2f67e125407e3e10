/** Memory for pages that are on their way, handed round so that a scrape allocates nothing. */

const lineFeed = 0x0a;
/** Room of a new buffer, bytes: usual pages are smaller. */
const usualBytes = 131_072;
/** Buffers that are kept, and the largest of them, bytes. */
const maxKept = 16;
const maxKeptBytes = 1_048_576;

const kept: Buffer[] = [];

/** One page as it comes in; it begins with a line feed, as readers of pages ask for. */
export class PageBuffer {
  #buffer: Buffer | undefined;
  #length = 0;

  /** Bytes of the page so far. */
  get size(): number {
    return Math.max(0, this.#length - 1);
  }

  /** Adds what has come. */
  add(chunk: Uint8Array): void {
    const needed = Math.max(1, this.#length) + chunk.length;
    const buffer = this.#roomFor(needed);
    if (this.#length === 0) buffer[this.#length++] = lineFeed;
    buffer.set(chunk, this.#length);
    this.#length += chunk.length;
  }

  /** What has come; a view that holds until `clear`. */
  get page(): Buffer {
    return this.#roomFor(1).subarray(0, this.#length);
  }

  /** Begins anew. The memory goes to whoever needs it next. */
  clear(): void {
    const buffer = this.#buffer;
    this.#buffer = undefined;
    this.#length = 0;
    if (buffer !== undefined && kept.length < maxKept && buffer.length <= maxKeptBytes) kept.push(buffer);
  }

  #roomFor(bytes: number): Buffer {
    this.#buffer ??= kept.pop() ?? Buffer.allocUnsafeSlow(usualBytes);
    const buffer = this.#buffer;
    if (buffer.length >= bytes) return buffer;
    const larger = Buffer.allocUnsafeSlow(Math.max(bytes, 2 * buffer.length));
    buffer.copy(larger, 0, 0, this.#length);
    this.#buffer = larger;
    return larger;
  }
}
