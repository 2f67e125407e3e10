/** Decoding of header blocks (RFC 7541), with bounds on what one block may hold. */
import { decodeHuffman } from "./huffman.ts";
import { HeaderTable, entryOverheadBytes } from "./hpack-table.ts";
import { ConnectionError, http2Error } from "./http2-codes.ts";

/** A decoded header block. The same object is returned for equal bytes where that is possible. */
export interface HeaderBlock {
  /** Name, value, name, value … in the order sent. */
  readonly fields: readonly string[];
  /** The list was larger than allowed: `fields` is incomplete and the request must be refused. */
  readonly tooLarge: boolean;
  /** Room for what a reader of the block worked out, so that equal blocks are understood once. */
  parsed?: unknown;
}

/** Our SETTINGS_HEADER_TABLE_SIZE: the protocol's default. */
export const headerTableBytes = 4096;

/** Blocks longer than this are not remembered. */
const maxCachedBlockBytes = 512;
/** Blocks remembered before the eldest are forgotten, all at once; as many again are kept until then. */
const maxCachedBlocks = 64;

/** Decodes the header blocks of one connection, in the order they arrive. */
export class HpackDecoder {
  readonly #table = new HeaderTable(headerTableBytes);
  readonly #maxListBytes: number;
  /**
   * Blocks that neither use nor change the dynamic table, by their bytes: those of late, and those before them. A full map
   * is dropped whole, since one that things are taken out of all the time chains its dead tables together.
   */
  #recent = new Map<string, HeaderBlock>();
  #elder = new Map<string, HeaderBlock>();
  #block: Buffer = Buffer.alloc(0);
  #at = 0;
  #fields: string[] = [];
  #listBytes = 0;
  #pure = true;

  /** `maxListBytes` counts names, values and 32 bytes a field, as SETTINGS_MAX_HEADER_LIST_SIZE does. */
  constructor(maxListBytes: number) {
    this.#maxListBytes = maxListBytes;
  }

  /** Decodes one whole block. Throws ConnectionError (COMPRESSION_ERROR) when it is malformed. */
  decode(block: Buffer): HeaderBlock {
    const key = block.length <= maxCachedBlockBytes ? block.toString("latin1") : undefined;
    const known = key === undefined ? undefined : this.#find(key);
    if (known) return known;
    this.#block = block;
    this.#at = 0;
    this.#fields = [];
    this.#listBytes = 0;
    this.#pure = true;
    this.#readSizeUpdates();
    while (this.#at < block.length) this.#readField();
    const decoded: HeaderBlock = { fields: this.#fields, tooLarge: this.#listBytes > this.#maxListBytes };
    if (key !== undefined && this.#pure) this.#remember(key, decoded);
    return decoded;
  }

  /** A block with a timeout is rarely seen twice and would push out those that are. */
  #remember(key: string, decoded: HeaderBlock): void {
    if (decoded.tooLarge || decoded.fields.includes("grpc-timeout")) return;
    this.#keep(key, decoded);
  }

  #find(key: string): HeaderBlock | undefined {
    const known = this.#recent.get(key);
    if (known !== undefined) return known;
    const elder = this.#elder.get(key);
    if (elder !== undefined) this.#keep(key, elder);
    return elder;
  }

  #keep(key: string, block: HeaderBlock): void {
    if (this.#recent.size >= maxCachedBlocks) {
      this.#elder = this.#recent;
      this.#recent = new Map();
    }
    this.#recent.set(key, block);
  }

  /** Size updates stand at the beginning of a block only; two are the most a change of size needs. */
  #readSizeUpdates(): void {
    let count = 0;
    while (((this.#block[this.#at] ?? 0) & 0xe0) === 0x20) {
      const bytes = this.#readInteger(5);
      if (bytes > headerTableBytes || ++count > 2) throw malformed("header table size update");
      this.#table.resize(bytes);
      this.#pure = false;
    }
  }

  #readField(): void {
    const first = this.#block[this.#at] ?? 0;
    if (first >= 0x80) this.#readIndexed();
    else if (first >= 0x40) this.#readLiteral(6, true);
    else if (first >= 0x20) throw malformed("header table size update inside a block");
    else this.#readLiteral(4, false);
  }

  #readIndexed(): void {
    const index = this.#readIndex(7);
    if (index === 0) throw malformed("header index 0");
    this.#push(this.#table.name(index), this.#table.value(index));
  }

  #readLiteral(prefixBits: number, remember: boolean): void {
    const index = this.#readIndex(prefixBits);
    const name = index === 0 ? this.#readString() : this.#table.name(index);
    const value = this.#readString();
    if (remember) {
      this.#pure = false;
      this.#table.add(name, value);
    }
    this.#push(name, value);
  }

  /** Keeps decoding past the bound, since the dynamic table must stay in step, but keeps no more fields. */
  #push(name: string, value: string): void {
    this.#listBytes += name.length + value.length + entryOverheadBytes;
    if (this.#listBytes <= this.#maxListBytes) this.#fields.push(name, value);
  }

  #readIndex(prefixBits: number): number {
    const index = this.#readInteger(prefixBits);
    if (index !== 0 && !this.#table.has(index)) throw malformed("header index out of range");
    if (this.#table.isDynamic(index)) this.#pure = false;
    return index;
  }

  /** RFC 7541 section 5.1; at most 28 bits follow the prefix. */
  #readInteger(prefixBits: number): number {
    const mask = (1 << prefixBits) - 1;
    let value = (this.#block[this.#at++] ?? 0) & mask;
    if (value < mask) return value;
    for (let shift = 0; shift <= 21; shift += 7) {
      const byte = this.#block[this.#at++];
      if (byte === undefined) throw malformed("truncated header block");
      value += (byte & 127) << shift;
      if (byte < 128) return value;
    }
    throw malformed("header integer too large");
  }

  #readString(): string {
    const first = this.#block[this.#at];
    if (first === undefined) throw malformed("truncated header block");
    const length = this.#readInteger(7);
    const start = this.#at;
    const end = start + length;
    if (end > this.#block.length) throw malformed("truncated header block");
    this.#at = end;
    return first >= 0x80
      ? decodeHuffman(this.#block, start, end)
      : this.#block.toString("latin1", start, end);
  }
}

function malformed(what: string): ConnectionError {
  return new ConnectionError(http2Error.compressionError, what);
}
