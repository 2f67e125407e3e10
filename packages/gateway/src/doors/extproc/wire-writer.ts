/**
 * Writes protobuf's wire format from the end to the start, so that the length of a nested message is known when it
 * is written. Memory is taken from a slab from its end down and never used twice: what `take` gives may be kept.
 */

const slabBytes = 65_536;

/** One message at a time. Fields are written in the reverse of their order. */
export class WireWriter {
  #slab = Buffer.allocUnsafeSlow(slabBytes);
  /** Start of what is written. */
  #at = slabBytes;
  /** Behind the last byte of this message. */
  #end = slabBytes;

  /** Begins a message that has at most `maxBytes`. */
  begin(maxBytes: number): void {
    if (this.#at < maxBytes) {
      this.#slab = Buffer.allocUnsafeSlow(Math.max(slabBytes, maxBytes));
      this.#at = this.#slab.length;
    }
    this.#end = this.#at;
  }

  /** The message. */
  take(): Uint8Array {
    const message = this.#slab.subarray(this.#at, this.#end);
    this.#end = this.#at;
    return message;
  }

  /** Where the writer stands: to be given to `nest` once what the nested message holds is written. */
  get mark(): number {
    return this.#at;
  }

  /** Tag and length in front of all that was written since `mark`; `more` bytes follow behind the message. */
  nest(tag: number, mark: number, more = 0): void {
    this.#varint(mark - this.#at + more);
    this.#byte(tag);
  }

  /** A varint field whose number is below 16. */
  number(tag: number, value: number): void {
    this.#varint(value);
    this.#byte(tag);
  }

  /** Bytes that are whole fields already. */
  fields(encoded: Uint8Array): void {
    this.#at -= encoded.length;
    this.#slab.set(encoded, this.#at);
  }

  /** A text or bytes field. */
  text(tag: number, value: string): void {
    const bytes = Buffer.byteLength(value);
    this.#at -= bytes;
    if (bytes === value.length) this.#slab.write(value, this.#at, "latin1");
    else this.#slab.write(value, this.#at);
    this.#varint(bytes);
    this.#byte(tag);
  }

  /** A bytes field. */
  bytes(tag: number, value: Uint8Array): void {
    this.fields(value);
    this.#varint(value.length);
    this.#byte(tag);
  }

  #byte(value: number): void {
    this.#slab[--this.#at] = value;
  }

  #varint(value: number): void {
    if (value < 0x80) return this.#byte(value);
    const groups = value < 0x4000 ? 2 : value < 0x200000 ? 3 : value < 0x10000000 ? 4 : 5;
    this.#at -= groups;
    let rest = value;
    for (let i = 0; i < groups - 1; i++) {
      this.#slab[this.#at + i] = (rest & 0x7f) | 0x80;
      rest = Math.floor(rest / 128);
    }
    this.#slab[this.#at + groups - 1] = rest;
  }
}
