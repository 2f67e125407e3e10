/** What an HTTP/2 peer allows us, and what we allow it (RFC 9113 sections 5.2 and 6.5.2). */
import {
  ACK,
  buildFrame,
  DEFAULT_FRAME_BYTES,
  DEFAULT_WINDOW_BYTES,
  MAX_31_BITS,
  SETTINGS,
  SETTINGS_ENABLE_PUSH,
  SETTINGS_HEADER_TABLE_SIZE,
  SETTINGS_INITIAL_WINDOW_SIZE,
  SETTINGS_MAX_CONCURRENT_STREAMS,
  SETTINGS_MAX_FRAME_SIZE,
  WINDOW_UPDATE,
} from "./h2-frames.ts";

/** The receive window of the connection is filled up again when this much of it is used. */
const REFILL_BYTES = 2 ** 30;

/** Limits the peer has set, at their defaults until it says otherwise. */
export interface PeerLimits {
  maxConcurrentStreams: number;
  initialWindowBytes: number;
  maxFrameBytes: number;
}

/** The limits of a peer that has not spoken yet. */
export function defaultLimits(): PeerLimits {
  return {
    maxConcurrentStreams: Number.POSITIVE_INFINITY,
    initialWindowBytes: DEFAULT_WINDOW_BYTES,
    maxFrameBytes: DEFAULT_FRAME_BYTES,
  };
}

/** Takes over the settings in [start, end) of a SETTINGS payload. */
export function applySettings(limits: PeerLimits, bytes: Buffer, start: number, end: number): void {
  for (let at = start; at + 6 <= end; at += 6) {
    const value = bytes.readUInt32BE(at + 2);
    const id = bytes.readUInt16BE(at);
    if (id === SETTINGS_MAX_CONCURRENT_STREAMS) limits.maxConcurrentStreams = value;
    else if (id === SETTINGS_INITIAL_WINDOW_SIZE) limits.initialWindowBytes = value;
    else if (id === SETTINGS_MAX_FRAME_SIZE) limits.maxFrameBytes = value;
  }
}

/**
 * What a client sends first: the preface, SETTINGS that forbid push and the dynamic table and open every stream's window
 * wide, and a WINDOW_UPDATE that does the same for the connection.
 */
export function connectionPreface(): Buffer {
  const settings = Buffer.concat([
    setting(SETTINGS_HEADER_TABLE_SIZE, 0),
    setting(SETTINGS_ENABLE_PUSH, 0),
    setting(SETTINGS_INITIAL_WINDOW_SIZE, MAX_31_BITS),
  ]);
  return Buffer.concat([
    Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1"),
    buildFrame(SETTINGS, 0, 0, settings),
    windowUpdate(MAX_31_BITS - DEFAULT_WINDOW_BYTES),
  ]);
}

/** The answer to SETTINGS. */
export const SETTINGS_ACK = buildFrame(SETTINGS, ACK, 0, Buffer.alloc(0));

/** Counts what arrives and says when the peer must be given more. */
export class ReceiveWindow {
  #used = 0;

  /** Counts the bytes of a DATA frame. Gives the WINDOW_UPDATE frame that is due, or null. */
  received(bytes: number): Buffer | null {
    this.#used += bytes;
    if (this.#used < REFILL_BYTES) return null;
    const frame = windowUpdate(this.#used);
    this.#used = 0;
    return frame;
  }
}

function setting(id: number, value: number): Buffer {
  const bytes = Buffer.alloc(6);
  bytes.writeUInt16BE(id);
  bytes.writeUInt32BE(value, 2);
  return bytes;
}

function windowUpdate(increment: number): Buffer {
  const payload = Buffer.alloc(4);
  payload.writeUInt32BE(increment);
  return buildFrame(WINDOW_UPDATE, 0, 0, payload);
}
