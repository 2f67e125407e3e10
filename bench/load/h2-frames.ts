/** HTTP/2 frames (RFC 9113 sections 4 and 6): their numbers and an incremental reader. */

/** Frame types. */
export const DATA = 0;
export const HEADERS = 1;
export const RST_STREAM = 3;
export const SETTINGS = 4;
export const PING = 6;
export const GOAWAY = 7;
export const WINDOW_UPDATE = 8;
export const CONTINUATION = 9;

/** Frame flags. */
export const ACK = 0x1;
export const END_STREAM = 0x1;
export const END_HEADERS = 0x4;
export const PADDED = 0x8;
export const PRIORITY = 0x20;

/** Settings that matter to a client. */
export const SETTINGS_HEADER_TABLE_SIZE = 1;
export const SETTINGS_ENABLE_PUSH = 2;
export const SETTINGS_MAX_CONCURRENT_STREAMS = 3;
export const SETTINGS_INITIAL_WINDOW_SIZE = 4;
export const SETTINGS_MAX_FRAME_SIZE = 5;

/** Error code CANCEL. */
export const CANCEL = 8;
/** Bytes of a frame header. */
export const FRAME_HEADER_BYTES = 9;
/** Window of a connection or stream before anybody changes it. */
export const DEFAULT_WINDOW_BYTES = 65_535;
/** Largest window, and largest stream id. */
export const MAX_31_BITS = 0x7fff_ffff;
/** Largest frame a peer may send that was not told otherwise. */
export const DEFAULT_FRAME_BYTES = 16_384;

/** Takes what the reader finds. Pieces lie in a buffer that is reused after the call. */
export interface FrameHandler {
  /** A whole frame other than unpadded DATA; the payload is [start, end). */
  frame(type: number, flags: number, stream: number, bytes: Buffer, start: number, end: number): void;
  /** A piece of unpadded DATA. */
  data(stream: number, bytes: Buffer, start: number, end: number): void;
  /** An unpadded DATA frame of `length` bytes is whole. */
  dataEnd(stream: number, flags: number, length: number): void;
}

/** Writes a frame header and gives the position after it. */
export function writeFrameHeader(
  out: Buffer,
  at: number,
  frame: { readonly length: number; readonly type: number; readonly flags: number; readonly stream: number },
): number {
  out.writeUIntBE(frame.length, at, 3);
  out[at + 3] = frame.type;
  out[at + 4] = frame.flags;
  out.writeUInt32BE(frame.stream, at + 5);
  return at + FRAME_HEADER_BYTES;
}

/** A whole small frame. */
export function buildFrame(type: number, flags: number, stream: number, payload: Uint8Array): Buffer {
  const frame = Buffer.alloc(FRAME_HEADER_BYTES + payload.length);
  const at = writeFrameHeader(frame, 0, { length: payload.length, type, flags, stream });
  frame.set(payload, at);
  return frame;
}

/** Cuts the bytes of one connection into frames. Copies only what arrives in pieces, DATA never. */
export class FrameReader {
  readonly #handler: FrameHandler;
  readonly #header = Buffer.alloc(FRAME_HEADER_BYTES);
  readonly #scratch = Buffer.alloc(DEFAULT_FRAME_BYTES);
  #headerFill = 0;
  #scratchFill = 0;
  #phase: "header" | "data" | "payload" | "bad" = "header";
  #length = 0;
  #remaining = 0;
  #type = 0;
  #flags = 0;
  #stream = 0;

  constructor(handler: FrameHandler) {
    this.#handler = handler;
  }

  /** Takes the bytes [start, end). False when a frame is larger than allowed, or after `stop`. */
  read(bytes: Buffer, start: number, end: number): boolean {
    let at = start;
    while (at < end && this.#phase !== "bad") {
      if (this.#phase === "header") at = this.#readHeader(bytes, at, end);
      else if (this.#phase === "data") at = this.#readData(bytes, at, end);
      else at = this.#readPayload(bytes, at, end);
    }
    return this.#phase !== "bad";
  }

  /** Nothing more is handed over, not even the rest of the piece being read. */
  stop(): void {
    this.#phase = "bad";
  }

  #readHeader(bytes: Buffer, at: number, end: number): number {
    if (this.#headerFill === 0 && end - at >= FRAME_HEADER_BYTES) {
      this.#parseHeader(bytes, at);
      return at + FRAME_HEADER_BYTES;
    }
    const size = Math.min(FRAME_HEADER_BYTES - this.#headerFill, end - at);
    bytes.copy(this.#header, this.#headerFill, at, at + size);
    this.#headerFill += size;
    if (this.#headerFill === FRAME_HEADER_BYTES) {
      this.#headerFill = 0;
      this.#parseHeader(this.#header, 0);
    }
    return at + size;
  }

  #parseHeader(bytes: Buffer, at: number): void {
    this.#length = bytes.readUIntBE(at, 3);
    this.#type = bytes[at + 3] ?? 0;
    this.#flags = bytes[at + 4] ?? 0;
    this.#stream = bytes.readUInt32BE(at + 5) & MAX_31_BITS;
    this.#remaining = this.#length;
    const isPlainData = this.#type === DATA && (this.#flags & PADDED) === 0;
    if (this.#length > DEFAULT_FRAME_BYTES) this.#phase = "bad";
    else if (this.#length > 0) this.#phase = isPlainData ? "data" : "payload";
    else if (isPlainData) this.#handler.dataEnd(this.#stream, this.#flags, 0);
    else this.#handler.frame(this.#type, this.#flags, this.#stream, bytes, 0, 0);
  }

  #readData(bytes: Buffer, at: number, end: number): number {
    const size = Math.min(this.#remaining, end - at);
    this.#handler.data(this.#stream, bytes, at, at + size);
    this.#remaining -= size;
    if (this.#remaining === 0) {
      this.#phase = "header";
      this.#handler.dataEnd(this.#stream, this.#flags, this.#length);
    }
    return at + size;
  }

  #readPayload(bytes: Buffer, at: number, end: number): number {
    if (this.#scratchFill === 0 && end - at >= this.#length) {
      this.#phase = "header";
      this.#handler.frame(this.#type, this.#flags, this.#stream, bytes, at, at + this.#length);
      return at + this.#length;
    }
    const size = Math.min(this.#length - this.#scratchFill, end - at);
    bytes.copy(this.#scratch, this.#scratchFill, at, at + size);
    this.#scratchFill += size;
    if (this.#scratchFill === this.#length) {
      this.#phase = "header";
      this.#scratchFill = 0;
      this.#handler.frame(this.#type, this.#flags, this.#stream, this.#scratch, 0, this.#length);
    }
    return at + size;
  }
}
