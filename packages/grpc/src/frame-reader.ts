/**
 * Cuts a byte stream into HTTP/2 frames, whatever the chunk borders. DATA is passed on in pieces as it
 * arrives, as views of the chunks; the payload of any other frame is given whole.
 */
import {
  ConnectionError,
  connectionPreface,
  frameFlag,
  frameHeaderBytes,
  frameType,
  http2Error,
} from "./http2-codes.ts";

/** Receives what was read. Anything it throws passes through `FrameReader.read`. */
export interface FrameSink {
  /** A DATA frame begins. `length` is the flow-controlled length: padding included. */
  beginData(streamId: number, length: number): void;
  /** Some of its bytes, without padding. */
  data(streamId: number, bytes: Buffer): void;
  /** The frame is complete. */
  endData(streamId: number, endStream: boolean): void;
  /** A frame of another type. The payload may be a view of a chunk: it is valid during the call. */
  frame(type: number, flags: number, streamId: number, payload: Buffer): void;
}

/** Bounds of what is accepted. */
export interface FrameLimits {
  /** Our SETTINGS_MAX_FRAME_SIZE. */
  readonly maxFrameBytes: number;
  /** Largest payload of a frame that is not DATA. */
  readonly maxControlBytes: number;
  /** True: the client connection preface comes first. */
  readonly expectPreface: boolean;
}

/**
 * - `preface`: the client's fixed first bytes.
 * - `header`: the nine bytes before a payload.
 * - `padLength`: the first payload byte of a padded DATA frame.
 * - `data`: DATA bytes, then `padding`: bytes to drop after them.
 * - `control`: the payload of any other frame.
 */
type ReaderState = "preface" | "header" | "padLength" | "data" | "padding" | "control";

const prefaceBytes = Buffer.from(connectionPreface, "latin1");
const noBytes: Buffer = Buffer.alloc(0);

/** Reads frames from chunks. After a throw it must not be used again. */
export class FrameReader {
  readonly #sink: FrameSink;
  readonly #limits: FrameLimits;
  #state: ReaderState;
  /** Bytes still missing in the present state. */
  #missing: number;
  /** Holds a frame header that lies across chunks. */
  readonly #header = Buffer.alloc(frameHeaderBytes);
  /** Holds a control payload that lies across chunks; bounded by `maxControlBytes`. */
  #payload = noBytes;
  #length = 0;
  #type = 0;
  #flags = 0;
  #streamId = 0;
  #padding = 0;
  #chunk = noBytes;
  #at = 0;

  constructor(sink: FrameSink, limits: FrameLimits) {
    this.#sink = sink;
    this.#limits = limits;
    this.#state = limits.expectPreface ? "preface" : "header";
    this.#missing = limits.expectPreface ? prefaceBytes.length : frameHeaderBytes;
  }

  /** Takes the next bytes of the connection. Throws ConnectionError when they break the framing. */
  read(chunk: Buffer): void {
    this.#chunk = chunk;
    this.#at = 0;
    while (this.#at < chunk.length) this.#step();
    this.#chunk = noBytes;
  }

  #step(): void {
    switch (this.#state) {
      case "preface":
        this.#readPreface();
        return;
      case "header":
        this.#readHeader();
        return;
      case "padLength":
        this.#readPadLength();
        return;
      case "data":
        this.#readData();
        return;
      case "padding":
        this.#readPadding();
        return;
      case "control":
        this.#readControl();
        return;
    }
  }

  /** How many of the missing bytes this chunk has. */
  #available(): number {
    return Math.min(this.#missing, this.#chunk.length - this.#at);
  }

  #readPreface(): void {
    const count = this.#available();
    const from = prefaceBytes.length - this.#missing;
    if (prefaceBytes.compare(this.#chunk, this.#at, this.#at + count, from, from + count) !== 0)
      throw new ConnectionError(http2Error.protocolError, "not an HTTP/2 client preface");
    this.#at += count;
    this.#missing -= count;
    if (this.#missing === 0) this.#expectHeader();
  }

  #expectHeader(): void {
    this.#state = "header";
    this.#missing = frameHeaderBytes;
  }

  #readHeader(): void {
    if (this.#missing === frameHeaderBytes && this.#chunk.length - this.#at >= frameHeaderBytes) {
      const at = this.#at;
      this.#at += frameHeaderBytes;
      this.#beginFrame(this.#chunk, at);
      return;
    }
    const count = this.#available();
    this.#chunk.copy(this.#header, frameHeaderBytes - this.#missing, this.#at, this.#at + count);
    this.#at += count;
    this.#missing -= count;
    if (this.#missing === 0) this.#beginFrame(this.#header, 0);
  }

  #beginFrame(from: Buffer, at: number): void {
    this.#length = from.readUIntBE(at, 3);
    this.#type = from[at + 3] ?? 0;
    this.#flags = from[at + 4] ?? 0;
    this.#streamId = from.readUInt32BE(at + 5) & 0x7fffffff;
    if (this.#length > this.#limits.maxFrameBytes)
      throw new ConnectionError(http2Error.frameSizeError, "frame larger than SETTINGS_MAX_FRAME_SIZE");
    if (this.#type === frameType.data) this.#beginData();
    else this.#beginControl();
  }

  #beginData(): void {
    if (this.#streamId === 0) throw new ConnectionError(http2Error.protocolError, "DATA on stream 0");
    const padded = (this.#flags & frameFlag.padded) !== 0;
    if (padded && this.#length === 0)
      throw new ConnectionError(http2Error.frameSizeError, "padded DATA without a pad length");
    this.#padding = 0;
    this.#sink.beginData(this.#streamId, this.#length);
    if (padded) {
      this.#state = "padLength";
      this.#missing = 1;
    } else this.#expectData(this.#length);
  }

  #readPadLength(): void {
    this.#padding = this.#chunk[this.#at++] ?? 0;
    if (this.#padding >= this.#length)
      throw new ConnectionError(http2Error.protocolError, "padding longer than the frame");
    this.#expectData(this.#length - 1 - this.#padding);
  }

  #expectData(count: number): void {
    if (count > 0) {
      this.#state = "data";
      this.#missing = count;
    } else this.#expectPadding();
  }

  #readData(): void {
    const count = this.#available();
    const bytes = this.#chunk.subarray(this.#at, this.#at + count);
    this.#at += count;
    this.#missing -= count;
    this.#sink.data(this.#streamId, bytes);
    if (this.#missing === 0) this.#expectPadding();
  }

  #expectPadding(): void {
    if (this.#padding > 0) {
      this.#state = "padding";
      this.#missing = this.#padding;
    } else this.#finishData();
  }

  #readPadding(): void {
    const count = this.#available();
    this.#at += count;
    this.#missing -= count;
    if (this.#missing === 0) this.#finishData();
  }

  #finishData(): void {
    this.#expectHeader();
    this.#sink.endData(this.#streamId, (this.#flags & frameFlag.endStream) !== 0);
  }

  #beginControl(): void {
    if (this.#length > this.#limits.maxControlBytes)
      throw new ConnectionError(http2Error.enhanceYourCalm, "control frame too large");
    if (this.#length <= this.#chunk.length - this.#at) {
      const payload = this.#chunk.subarray(this.#at, this.#at + this.#length);
      this.#at += this.#length;
      this.#finishControl(payload);
      return;
    }
    this.#state = "control";
    this.#missing = this.#length;
    this.#payload = Buffer.allocUnsafe(this.#length);
  }

  #readControl(): void {
    const count = this.#available();
    this.#chunk.copy(this.#payload, this.#length - this.#missing, this.#at, this.#at + count);
    this.#at += count;
    this.#missing -= count;
    if (this.#missing === 0) this.#finishControl(this.#payload);
  }

  #finishControl(payload: Buffer): void {
    this.#payload = noBytes;
    this.#expectHeader();
    this.#sink.frame(this.#type, this.#flags, this.#streamId, payload);
  }
}
