/** Joins HEADERS and CONTINUATION into header blocks, with bounds on their number and size. */
import { ConnectionError, frameFlag, http2Error } from "./http2-codes.ts";

/** Most CONTINUATION frames of one block. */
const maxContinuations = 16;

/** A complete, still encoded header block. */
export interface EncodedBlock {
  readonly streamId: number;
  /** Valid until the next frame is read. */
  readonly bytes: Buffer;
  readonly endStream: boolean;
  /** The block's priority field names its own stream, which is a stream error. */
  readonly selfDependent: boolean;
}

/** The block being received. */
interface Partial {
  readonly streamId: number;
  readonly endStream: boolean;
  readonly selfDependent: boolean;
  readonly pieces: Buffer[];
  bytes: number;
}

/** Assembles the header blocks of one connection. */
export class HeaderAssembly {
  readonly #maxBlockBytes: number;
  #partial: Partial | undefined;

  constructor(maxBlockBytes: number) {
    this.#maxBlockBytes = maxBlockBytes;
  }

  /** Only CONTINUATION of the same stream may come now (RFC 9113 section 6.10). */
  get open(): boolean {
    return this.#partial !== undefined;
  }

  /** Takes a HEADERS payload; gives the block when it is complete. */
  headers(streamId: number, flags: number, payload: Buffer): EncodedBlock | undefined {
    const { start, end, selfDependent } = stripHeaders(streamId, flags, payload);
    const bytes = payload.subarray(start, end);
    const endStream = (flags & frameFlag.endStream) !== 0;
    this.#checkSize(bytes.length);
    if ((flags & frameFlag.endHeaders) !== 0) return { streamId, bytes, endStream, selfDependent };
    this.#partial = { streamId, endStream, selfDependent, pieces: [Buffer.from(bytes)], bytes: bytes.length };
    return undefined;
  }

  /** Takes a CONTINUATION payload; gives the block when it is complete. */
  continuation(streamId: number, flags: number, payload: Buffer): EncodedBlock | undefined {
    const partial = this.#partial;
    if (!partial || partial.streamId !== streamId)
      throw new ConnectionError(http2Error.protocolError, "CONTINUATION without HEADERS");
    partial.bytes += payload.length;
    this.#checkSize(partial.bytes);
    if (partial.pieces.length > maxContinuations)
      throw new ConnectionError(http2Error.enhanceYourCalm, "too many CONTINUATION frames");
    partial.pieces.push(Buffer.from(payload));
    if ((flags & frameFlag.endHeaders) === 0) return undefined;
    this.#partial = undefined;
    const { endStream, selfDependent } = partial;
    return { streamId, bytes: Buffer.concat(partial.pieces), endStream, selfDependent };
  }

  #checkSize(bytes: number): void {
    if (bytes > this.#maxBlockBytes)
      throw new ConnectionError(http2Error.enhanceYourCalm, "header block too large");
  }
}

/** Where the block lies inside a HEADERS payload: after the pad length and priority, before the padding. */
function stripHeaders(
  streamId: number,
  flags: number,
  payload: Buffer,
): { start: number; end: number; selfDependent: boolean } {
  let start = 0;
  let end = payload.length;
  let selfDependent = false;
  if ((flags & frameFlag.padded) !== 0) {
    if (end < 1) throw new ConnectionError(http2Error.frameSizeError, "padded HEADERS without a pad length");
    end -= payload[0] ?? 0;
    start = 1;
  }
  if ((flags & frameFlag.priority) !== 0) {
    if (payload.length < start + 5)
      throw new ConnectionError(http2Error.frameSizeError, "HEADERS without its priority");
    selfDependent = (payload.readUInt32BE(start) & 0x7fffffff) === streamId;
    start += 5;
  }
  if (end < start) throw new ConnectionError(http2Error.protocolError, "padding longer than the frame");
  return { start, end, selfDependent };
}
