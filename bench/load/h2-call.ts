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
  /** Bytes of the message that are sent. */
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
  call.received = 0;
  call.httpStatus = -1;
  call.grpcStatus = -1;
  call.chunks = [];
}
