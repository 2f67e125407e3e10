/**
 * What a shadow's thread is told, as numbers, texts and bytes: a frame holds what has happened within a few milliseconds.
 * The live side only appends; the thread reads in the same order.
 */

/** What a group of numbers tells. The first number of each group is one of these. */
export const frameEvent = {
  /** An endpoint's slot has a new owner: slot, labels. Texts: id, address, names and values of the labels. */
  endpoint: 1,
  /** The endpoint of a slot is gone. */
  gone: 2,
  /** What changes seldom in an endpoint's signals: see `SignalWriter`. */
  signals: 3,
  /** The live side has run a cycle. */
  cycle: 4,
  dispatched: 5,
  firstToken: 6,
  ended: 7,
} as const;

/** Numbers of each candidate of a cycle. */
export const numbersPerCandidate = 11;

/** A frame on its way. */
export interface Frame {
  readonly numbers: Float64Array<ArrayBuffer>;
  readonly texts: readonly string[];
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Cycles in it. */
  readonly cycles: number;
}

/** Appends to a frame. Its memory is kept from frame to frame. */
export class FrameWriter {
  cycles = 0;
  #numbers = new Float64Array(4_096);
  #count = 0;
  #texts: string[] = [];
  #bytes = new Uint8Array(4_096);
  #byteCount = 0;

  get isEmpty(): boolean {
    return this.#count === 0;
  }

  /** Bytes that the frame holds, texts by their length. */
  get size(): number {
    return this.#count * 8 + this.#byteCount;
  }

  /** Makes room for so many numbers that follow. */
  reserve(count: number): void {
    const wanted = this.#count + count;
    if (wanted <= this.#numbers.length) return;
    const larger = new Float64Array(2 * wanted);
    larger.set(this.#numbers);
    this.#numbers = larger;
  }

  /** Within what was reserved. */
  number(value: number): void {
    this.#numbers[this.#count++] = value;
  }

  text(value: string): void {
    this.#texts.push(value);
  }

  /** Copies the bytes; the reader finds them by their length alone. */
  append(bytes: Uint8Array): void {
    const wanted = this.#byteCount + bytes.length;
    if (wanted > this.#bytes.length) {
      const larger = new Uint8Array(2 * wanted);
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    this.#bytes.set(bytes, this.#byteCount);
    this.#byteCount = wanted;
  }

  /** What was appended, in memory of its own; begins anew. */
  take(): Frame {
    const frame = {
      numbers: this.#numbers.slice(0, this.#count),
      texts: this.#texts,
      bytes: this.#bytes.slice(0, this.#byteCount),
      cycles: this.cycles,
    };
    this.clear();
    return frame;
  }

  clear(): void {
    this.cycles = 0;
    this.#count = 0;
    this.#byteCount = 0;
    this.#texts = [];
  }
}

/** Reads a frame. */
export class FrameReader {
  readonly #frame: Frame;
  #number = 0;
  #text = 0;
  #byte = 0;

  constructor(frame: Frame) {
    this.#frame = frame;
  }

  get isAtEnd(): boolean {
    return this.#number >= this.#frame.numbers.length;
  }

  number(): number {
    return this.#frame.numbers[this.#number++] ?? Number.NaN;
  }

  text(): string {
    return this.#frame.texts[this.#text++] ?? "";
  }

  bytes(length: number): Uint8Array {
    const from = this.#byte;
    this.#byte += length;
    return this.#frame.bytes.subarray(from, this.#byte);
  }
}
