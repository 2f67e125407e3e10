/**
 * Reader and writer under the generated code: 64-bit fields are plain numbers, and where every bit
 * counts (`int64_contents`, `uint64_contents`) they are bigints. The library's own reader gives objects.
 */
import protobuf from "protobufjs/minimal.js";

/** The part of the library's reader this file builds on; its 64-bit methods are replaced, so their types are left out. */
interface BaseReader {
  buf: Uint8Array;
  pos: number;
  len: number;
  uint32(): number;
}

/** The part of the library's writer this file builds on. */
interface BaseWriter {
  int64(value: Wide): this;
  int64s(values: readonly Wide[]): this;
}

/** What the library's writer accepts for a 64-bit field. */
type Wide = number | { readonly low: number; readonly high: number };

const LibraryReader = protobuf.BufferReader as unknown as new (buffer: Uint8Array) => BaseReader;
const LibraryWriter = protobuf.BufferWriter as unknown as new () => BaseWriter;

const TWO_32 = 2 ** 32;

function outOfRange(reader: BaseReader): RangeError {
  return new RangeError(`index out of range: ${reader.pos} > ${reader.len}`);
}

/** Splits a bigint into the two halves the library's writer takes; the rest passes through. */
function toWide(value: Wide | bigint): Wide {
  if (typeof value !== "bigint") return value;
  const bits = BigInt.asUintN(64, value);
  return { low: Number(bits & 0xffffffffn), high: Number(bits >> 32n) };
}

/**
 * Reads 64-bit varints as numbers. A value beyond ±2^53 is rounded to the nearest double, so whoever
 * uses one as a size checks `Number.isSafeInteger`. The `big…` methods are exact.
 */
class WireReader extends LibraryReader {
  #low = 0;
  #high = 0;

  /** A reader over the bytes, which are not copied: `bytes` fields are views into them. */
  static create(buffer: Uint8Array): WireReader {
    return new WireReader(
      Buffer.isBuffer(buffer) ? buffer : Buffer.from(buffer.buffer, buffer.byteOffset, buffer.byteLength),
    );
  }

  int64(): number {
    this.#varint();
    return (this.#high | 0) * TWO_32 + this.#low;
  }

  uint64(): number {
    this.#varint();
    return this.#high * TWO_32 + this.#low;
  }

  bigInt64(): bigint {
    return BigInt.asIntN(64, this.bigUint64());
  }

  bigUint64(): bigint {
    this.#varint();
    return (BigInt(this.#high) << 32n) | BigInt(this.#low);
  }

  int64s(into: number[]): void {
    for (const end = this.#packed(); this.pos < end;) into.push(this.int64());
  }

  uint64s(into: number[]): void {
    for (const end = this.#packed(); this.pos < end;) into.push(this.uint64());
  }

  bigInt64s(into: bigint[]): void {
    for (const end = this.#packed(); this.pos < end;) into.push(this.bigInt64());
  }

  bigUint64s(into: bigint[]): void {
    for (const end = this.#packed(); this.pos < end;) into.push(this.bigUint64());
  }

  /** Reads a packed field's length; its end must lie inside the buffer and on the end of a varint. */
  #packed(): number {
    const size = this.uint32();
    const end = this.pos + size;
    if (end > this.len || (size > 0 && (this.buf[end - 1] ?? 0) > 127)) throw outOfRange(this);
    return end;
  }

  /** Reads at most ten bytes into the two halves. */
  #varint(): void {
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      if (this.pos >= this.len) throw outOfRange(this);
      const byte = this.buf[this.pos++] ?? 0;
      const seven = byte & 127;
      if (shift < 28) low |= seven << shift;
      else if (shift === 28) {
        low |= seven << 28;
        high = seven >>> 4;
      } else high |= seven << (shift - 32);
      if (byte < 128) {
        this.#low = low >>> 0;
        this.#high = high >>> 0;
        return;
      }
    }
    throw new Error("invalid varint encoding");
  }
}

/** Writes 64-bit fields from numbers and bigints alike. */
class WireWriter extends LibraryWriter {
  static create(): WireWriter {
    return new WireWriter();
  }

  override int64(value: Wide | bigint): this {
    return super.int64(toWide(value));
  }

  uint64(value: Wide | bigint): this {
    return super.int64(toWide(value));
  }

  override int64s(values: readonly (Wide | bigint)[]): this {
    return super.int64s(values.map(toWide));
  }

  uint64s(values: readonly (Wide | bigint)[]): this {
    return super.int64s(values.map(toWide));
  }
}

/** What the generated code imports in the library's place. */
export default { Reader: WireReader, Writer: WireWriter, util: protobuf.util, roots: protobuf.roots };
