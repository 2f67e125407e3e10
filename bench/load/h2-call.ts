/** One slot's unary call on an HTTP/2 connection. */
import type { BlockStatus } from "./hpack-status.ts";

/**
 * A call goes through `waiting` (for the connection, a free stream or window), `sending` (its stream is open), `sent`,
 * and is `idle` again once answered or failed. The object serves all calls of its slot in turn.
 */
export interface Call extends BlockStatus {
  readonly slot: number;
  state: "idle" | "waiting" | "sending" | "sent";
  /** Stream id; 0 without a stream. */
  stream: number;
  /** Position in the list of requests. */
  request: number;
  /** Of a stream: which turn is sent, and how many messages have come since. */
  turn: number;
  replies: number;
  /** Of a stream: bytes of the message that is coming that are still to come, and its prefix as far as it is here. */
  missing: number;
  prefix: number;
  length: number;
  /** Bytes of the message, or of the turn, that are sent. */
  offset: number;
  sendWindow: number;
  /** Bytes of the answer so far, its prefix included. */
  received: number;
  /** Kept only for a check. */
  chunks: Buffer[];
}

/** The call object of a slot, before its first call. */
export function idleCall(slot: number): Call {
  return {
    slot,
    state: "idle",
    stream: 0,
    request: 0,
    turn: 0,
    replies: 0,
    missing: 0,
    prefix: 0,
    length: 0,
    offset: 0,
    sendWindow: 0,
    received: 0,
    chunks: [],
    httpStatus: -1,
    grpcStatus: -1,
  };
}

/** Makes the object ready for the stream that is being opened. */
export function startStream(call: Call, stream: number, sendWindow: number): void {
  call.state = "sending";
  call.stream = stream;
  call.sendWindow = sendWindow;
  call.offset = 0;
  call.turn = 0;
  call.replies = 0;
  call.missing = 0;
  call.prefix = 0;
  call.length = 0;
  call.received = 0;
  call.httpStatus = -1;
  call.grpcStatus = -1;
  call.chunks = [];
}

/** Bytes before each message: one of flags, four of length. */
const PREFIX_BYTES = 5;

/** Counts the messages that have come whole with these bytes of a stream. */
export function countReplies(call: Call, bytes: Uint8Array, start: number, end: number): void {
  let at = start;
  while (at < end) {
    if (call.prefix < PREFIX_BYTES) {
      if (call.prefix > 0) call.length = call.length * 256 + (bytes[at] ?? 0);
      call.prefix += 1;
      at += 1;
      if (call.prefix < PREFIX_BYTES) continue;
      call.missing = call.length;
    }
    const taken = Math.min(call.missing, end - at);
    call.missing -= taken;
    at += taken;
    if (call.missing > 0) return;
    call.replies += 1;
    call.prefix = 0;
    call.length = 0;
  }
}
