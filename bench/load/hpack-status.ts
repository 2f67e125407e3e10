/**
 * Finds `:status` and `grpc-status` in an HPACK block (RFC 7541) without building headers. The peer was told that the
 * dynamic table has size 0, so every field is a literal or an entry of the static table.
 */

/** What a header block says; -1 where it does not say. */
export interface BlockStatus {
  httpStatus: number;
  grpcStatus: number;
}

/** Static table entries 8 to 14. */
const STATIC_STATUS_FIRST = 8;
const STATIC_STATUSES = [200, 204, 206, 304, 400, 404, 500];
const STATIC_ENTRIES = 61;
const GRPC_STATUS = Buffer.from("grpc-status");
/** The same name in the Huffman code of RFC 7541 Appendix B: g 100110, r 101100, p 101011, c 00100, - 010110, s 01000, t 01001, a 00011, u 101101. */
const GRPC_STATUS_HUFFMAN = huffmanBytes(
  "100110 101100 101011 00100 010110 01000 01001 00011 01001 101101 01000",
);
/** Digits in the Huffman code: 0 to 2 have five bits, 3 to 9 six. */
const HUFFMAN_DIGITS = new Map(
  ["00000", "00001", "00010", "011001", "011010", "011011", "011100", "011101", "011110", "011111"].map(
    (code, digit) => [code, digit] as const,
  ),
);

/** Reads one block after another; keeps only a position. */
export class HpackStatusReader {
  #bytes: Buffer = Buffer.alloc(0);
  #at = 0;
  #end = 0;

  /** Adds what the block in [start, end) says to `into`. False when it cannot be read. */
  read(bytes: Buffer, start: number, end: number, into: BlockStatus): boolean {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
    while (this.#at < end) if (!this.#readField(into)) return false;
    return this.#at === end;
  }

  #readField(into: BlockStatus): boolean {
    const first = this.#bytes[this.#at] ?? 0;
    if (first >= 0x80) return this.#readIndexed(into);
    if ((first & 0xe0) === 0x20) return this.#readInteger(0x1f) >= 0;
    return this.#readLiteral((first & 0x40) === 0 ? 0x0f : 0x3f, into);
  }

  #readIndexed(into: BlockStatus): boolean {
    const index = this.#readInteger(0x7f);
    const status = STATIC_STATUSES[index - STATIC_STATUS_FIRST];
    if (status !== undefined) into.httpStatus = status;
    return index > 0 && index <= STATIC_ENTRIES;
  }

  #readLiteral(indexMask: number, into: BlockStatus): boolean {
    const index = this.#readInteger(indexMask);
    if (index < 0 || index > STATIC_ENTRIES) return false;
    const isHttpStatus = index >= STATIC_STATUS_FIRST && index < STATIC_STATUS_FIRST + STATIC_STATUSES.length;
    const isGrpcStatus = index === 0 && this.#isGrpcStatus();
    if (index === 0 && !this.#skipString()) return false;
    if (isHttpStatus) return (into.httpStatus = this.#readNumber()) >= 0;
    if (isGrpcStatus) return (into.grpcStatus = this.#readNumber()) >= 0;
    return this.#skipString();
  }

  /** An integer whose prefix is the masked bits of the next byte, or -1. */
  #readInteger(mask: number): number {
    let value = (this.#bytes[this.#at++] ?? 0) & mask;
    if (value < mask) return value;
    for (let shift = 0; shift <= 21; shift += 7) {
      if (this.#at >= this.#end) return -1;
      const byte = this.#bytes[this.#at++] ?? 0;
      value += (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    return -1;
  }

  #skipString(): boolean {
    const length = this.#readInteger(0x7f);
    this.#at += length;
    return length >= 0 && this.#at <= this.#end;
  }

  #isGrpcStatus(): boolean {
    const isHuffman = ((this.#bytes[this.#at] ?? 0) & 0x80) !== 0;
    const name = isHuffman ? GRPC_STATUS_HUFFMAN : GRPC_STATUS;
    if (((this.#bytes[this.#at] ?? 0) & 0x7f) !== name.length) return false;
    for (let index = 0; index < name.length; index += 1) {
      if (this.#bytes[this.#at + 1 + index] !== name[index]) return false;
    }
    return true;
  }

  /** A string of one to three digits as a number, or -1. */
  #readNumber(): number {
    const isHuffman = ((this.#bytes[this.#at] ?? 0) & 0x80) !== 0;
    const length = this.#readInteger(0x7f);
    const start = this.#at;
    this.#at += length;
    if (length < 1 || length > 3 || this.#at > this.#end) return -1;
    return isHuffman ? this.#huffmanNumber(start, length) : this.#plainNumber(start, length);
  }

  #plainNumber(start: number, length: number): number {
    let value = 0;
    for (let at = start; at < start + length; at += 1) {
      const digit = (this.#bytes[at] ?? 0) - 48;
      if (digit < 0 || digit > 9) return -1;
      value = value * 10 + digit;
    }
    return value;
  }

  /** The rest after the last digit is padding of ones, shorter than a byte. */
  #huffmanNumber(start: number, length: number): number {
    let value = 0;
    let code = "";
    for (let at = start; at < start + length; at += 1) {
      for (let bit = 7; bit >= 0; bit -= 1) {
        code += (((this.#bytes[at] ?? 0) >> bit) & 1).toString();
        const digit = HUFFMAN_DIGITS.get(code);
        if (digit === undefined) continue;
        value = value * 10 + digit;
        code = "";
      }
    }
    return /^1{0,7}$/.test(code) ? value : -1;
  }
}

function huffmanBytes(codes: string): Buffer {
  const bits = codes.replaceAll(" ", "");
  const padded = bits.padEnd(Math.ceil(bits.length / 8) * 8, "1");
  return Buffer.from((padded.match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2)));
}
