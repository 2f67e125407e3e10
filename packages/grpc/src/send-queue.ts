/**
 * Decides which stream's bytes go to the socket next: in turns, a frame at a time, within the peer's
 * windows, and only while the socket keeps up. What does not go out stays with its stream.
 */
import type { FrameWriter } from "./frame-writer.ts";
import { defaultWindowBytes, frameFlag, frameType, largestWindowBytes } from "./http2-codes.ts";
import type { PeerSettings } from "./settings.ts";
import type { SendEnd, Stream } from "./stream.ts";

/** Largest DATA frame when one stream sends alone. */
const aloneFrameBytes = 1_048_576;
/** Largest DATA frame when several streams take turns: what a small message waits for at most. */
const sharedFrameBytes = 131_072;
/** No further DATA is written while the socket holds this much. */
const highWaterBytes = 1_048_576;
/** Messages up to this size go out at once if the windows allow, copied next to their headers. */
const smallMessageBytes = 16_384;

/** Called when a stream's last frame has been written. */
export type OnLocalEnd = (stream: Stream) => void;

/** The sending side of all streams of one connection. */
export class SendQueue {
  readonly #writer: FrameWriter;
  readonly #peer: PeerSettings;
  readonly #onLocalEnd: OnLocalEnd;
  /** Streams with something to send and window to send it. */
  #ready: Stream[] = [];
  #window = defaultWindowBytes;
  /** Bytes given to `message` that have not been written; includes streams without window. */
  #pendingBytes = 0;

  constructor(writer: FrameWriter, peer: PeerSettings, onLocalEnd: OnLocalEnd) {
    this.#writer = writer;
    this.#peer = peer;
    this.#onLocalEnd = onLocalEnd;
  }

  /** Message bytes that wait for a window or for the socket. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /** A header block that is not the stream's last frame, or is its only one. */
  headers(
    stream: Stream,
    block: Uint8Array,
    options: { readonly more?: Uint8Array | undefined; readonly endStream: boolean },
  ): void {
    this.#writer.headers(stream.id, block, {
      more: options.more,
      endStream: options.endStream,
      maxFrameBytes: this.#peer.maxFrameBytes,
    });
    if (options.endStream) this.#end(stream);
  }

  /** Queues pieces, then what follows them. Nothing is copied unless it is small. */
  message(stream: Stream, pieces: readonly Uint8Array[], end: SendEnd): void {
    let bytes = 0;
    for (const piece of pieces) bytes += piece.length;
    stream.sendEnd = end;
    if (stream.outBytes === 0 && bytes <= smallMessageBytes && this.#fits(stream, bytes)) {
      this.#writeSmall(stream, pieces, bytes);
      return;
    }
    for (const piece of pieces) if (piece.length > 0) stream.out.push(piece);
    stream.outBytes += bytes;
    this.#pendingBytes += bytes;
    this.#enqueue(stream);
    this.pump();
  }

  /** Ends the stream once its data are out. */
  finish(stream: Stream, end: SendEnd): void {
    stream.sendEnd = end;
    if (stream.outBytes === 0) this.#finishData(stream);
  }

  /** Forgets what the stream still had to send. */
  drop(stream: Stream): void {
    this.#pendingBytes -= stream.outBytes;
    stream.outBytes = 0;
    stream.out = [];
  }

  /** Adds to the connection's window; false when it overflows. */
  addWindow(bytes: number): boolean {
    this.#window += bytes;
    if (this.#window > largestWindowBytes) return false;
    this.pump();
    return true;
  }

  /** Adds to a stream's window (or takes away); false when it overflows. */
  addStreamWindow(stream: Stream, bytes: number): boolean {
    stream.sendWindow += bytes;
    if (stream.sendWindow > largestWindowBytes) return false;
    this.#enqueue(stream);
    return true;
  }

  /** Writes frames until nothing is ready, the connection's window is used up or the socket is full. */
  pump(): void {
    while (this.#ready.length > 0 && this.#window > 0 && this.#writer.backlogBytes < highWaterBytes) {
      const stream = this.#ready.shift();
      if (!stream) return;
      stream.queued = false;
      if (stream.outBytes > 0 && stream.sendWindow > 0) this.#writeFrame(stream);
    }
  }

  #fits(stream: Stream, bytes: number): boolean {
    return (
      bytes <= stream.sendWindow &&
      bytes <= this.#window &&
      bytes <= this.#peer.maxFrameBytes &&
      this.#writer.backlogBytes < highWaterBytes
    );
  }

  #writeSmall(stream: Stream, pieces: readonly Uint8Array[], bytes: number): void {
    const last = stream.sendEnd === "endStream";
    this.#writer.header(bytes, frameType.data, last ? frameFlag.endStream : 0, stream.id);
    for (const piece of pieces) this.#writer.bytes(piece, 0, piece.length);
    stream.sendWindow -= bytes;
    this.#window -= bytes;
    if (last) this.#end(stream);
    else this.#finishData(stream);
  }

  #enqueue(stream: Stream): void {
    if (stream.queued || stream.outBytes === 0 || stream.sendWindow <= 0) return;
    stream.queued = true;
    this.#ready.push(stream);
  }

  #writeFrame(stream: Stream): void {
    const turn = this.#ready.length > 0 ? sharedFrameBytes : aloneFrameBytes;
    const bytes = Math.min(stream.outBytes, stream.sendWindow, this.#window, this.#peer.maxFrameBytes, turn);
    const last = bytes === stream.outBytes && stream.sendEnd === "endStream";
    this.#writer.header(bytes, frameType.data, last ? frameFlag.endStream : 0, stream.id);
    this.#writePieces(stream, bytes);
    stream.sendWindow -= bytes;
    stream.outBytes -= bytes;
    this.#window -= bytes;
    this.#pendingBytes -= bytes;
    if (stream.outBytes > 0) {
      this.#enqueue(stream);
      return;
    }
    stream.out = [];
    stream.outIndex = 0;
    if (last) this.#end(stream);
    else this.#finishData(stream);
  }

  #writePieces(stream: Stream, bytes: number): void {
    let left = bytes;
    while (left > 0) {
      const piece = stream.out[stream.outIndex];
      if (!piece) return;
      const end = Math.min(piece.length, stream.outOffset + left);
      this.#writer.bytes(piece, stream.outOffset, end);
      left -= end - stream.outOffset;
      if (end === piece.length) {
        stream.outIndex++;
        stream.outOffset = 0;
      } else stream.outOffset = end;
    }
  }

  /** All data are written: sends what ends the stream, or says there is room again. */
  #finishData(stream: Stream): void {
    const end = stream.sendEnd;
    if (end === "open") stream.handler.streamDrain();
    else if (end === "endStream") {
      this.#writer.header(0, frameType.data, frameFlag.endStream, stream.id);
      this.#end(stream);
    } else this.headers(stream, end.block, { more: end.more, endStream: true });
  }

  #end(stream: Stream): void {
    stream.localClosed = true;
    if (stream.whenTaken !== undefined) this.#writer.whenTaken(stream.whenTaken);
    this.#onLocalEnd(stream);
  }
}
