/** One HTTP/2 stream: its windows, which halves are open, and what waits to be sent on it. */
import type { HeaderBlock } from "./hpack-decoder.ts";

/** Why a stream ended before its time. */
export type ResetCause =
  /** The peer sent RST_STREAM. */
  | "peer"
  /** The connection is gone. */
  | "connection"
  /** The peer broke a rule on this stream and was told so. */
  | "violation";

/** The meaning given to a stream: the client's call or the server's. */
export interface StreamHandler {
  /** A header block after the one that opened the stream: an answer's head, or trailers. */
  streamHeaders(block: HeaderBlock, endStream: boolean): void;
  /** Payload bytes as they arrive; a view, valid during the call. */
  streamData(bytes: Buffer): void;
  /** The peer has sent all it will send. */
  streamEnd(): void;
  /** The stream has ended before its time, not by our own reset. `code` is one of `http2Error`. */
  streamReset(code: number, cause: ResetCause): void;
  /** The stream has left its connection, for whatever reason: called once, before `streamReset`. */
  streamGone(): void;
  /** All that was given to send has been written. */
  streamDrain(): void;
}

/** Header fields that follow the data and end the stream. */
export interface Trailers {
  readonly block: Uint8Array;
  readonly more: Uint8Array | undefined;
}

/** What a stream's sending half does when its data are out: stay open, end with the last frame, or send trailers. */
export type SendEnd = "open" | "endStream" | Trailers;

const nothing: StreamHandler = {
  streamHeaders: () => {},
  streamData: () => {},
  streamEnd: () => {},
  streamReset: () => {},
  streamGone: () => {},
  streamDrain: () => {},
};

/** State of one stream; changed by the connection and its send queue only. */
export class Stream {
  readonly id: number;
  handler: StreamHandler = nothing;
  /** Bytes we may send; negative after the peer shrank it. */
  sendWindow: number;
  /** Bytes the peer may still send. */
  receiveWindow: number;
  /** Bytes received for which the peer has not been given credit yet. */
  uncredited = 0;
  /** No credit is given while true. */
  paused = false;
  localClosed = false;
  remoteClosed = false;
  /** Removed from its connection: nothing is sent or delivered any more. */
  gone = false;

  /** Pieces waiting to be sent; the first `outIndex` are done, and `outOffset` bytes of the next. */
  out: Uint8Array[] = [];
  outIndex = 0;
  outOffset = 0;
  outBytes = 0;
  sendEnd: SendEnd = "open";
  /** Called once the kernel has the last frame; not at all when the stream is reset before. */
  whenTaken: (() => void) | undefined;
  /** In the send queue's ring. */
  queued = false;

  constructor(id: number, sendWindow: number, receiveWindow: number) {
    this.id = id;
    this.sendWindow = sendWindow;
    this.receiveWindow = receiveWindow;
  }
}
