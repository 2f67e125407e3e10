/** Reading protobuf's wire format in place (https://protobuf.dev/programming-guides/encoding/): no message is built that nobody asks for. */

/** The bytes are not what the protocol says. */
export class WireError extends Error {}

/** A place in a message. Every method throws `WireError` where the bytes end too soon. */
export class WireCursor {
  readonly bytes: Buffer;
  at: number;
  readonly end: number;

  constructor(bytes: Buffer, at = 0, end = bytes.length) {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
  }

  /** False at the end. */
  get more(): boolean {
    return this.at < this.end;
  }

  /** A number of at most 32 bits; what a longer one has above is dropped. */
  varint(): number {
    let value = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      if (this.at >= this.end) throw new WireError("the message ends within a number");
      const byte = this.bytes[this.at++] ?? 0;
      if (shift < 32) value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value >>> 0;
    }
    throw new WireError("a number has more than ten bytes");
  }

  /** Reads a length and gives the position behind so many bytes, which it does not pass. */
  span(): number {
    const length = this.varint();
    const end = this.at + length;
    if (end > this.end) throw new WireError("a field is longer than its message");
    return end;
  }

  /** Passes the value of a field with this tag. */
  skip(tag: number): void {
    switch (tag & 7) {
      case 0:
        this.varint();
        return;
      case 1:
        return this.#pass(8);
      case 2:
        this.at = this.span();
        return;
      case 5:
        return this.#pass(4);
      default:
        throw new WireError(`no field has the wire type ${tag & 7}`);
    }
  }

  #pass(count: number): void {
    this.at += count;
    if (this.at > this.end) throw new WireError("a field is longer than its message");
  }

  /** The text of a field, whose tag has been read. */
  text(): string {
    const end = this.span();
    const text = this.bytes.toString("utf8", this.at, end);
    this.at = end;
    return text;
  }

  /** The message of a field, whose tag has been read. */
  message(): WireCursor {
    const end = this.span();
    const inner = new WireCursor(this.bytes, this.at, end);
    this.at = end;
    return inner;
  }
}
