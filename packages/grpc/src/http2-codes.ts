/** Numbers of HTTP/2 (RFC 9113) and the one error that ends a connection. */

/** Frame types (RFC 9113 section 6). */
export const frameType = {
  data: 0,
  headers: 1,
  priority: 2,
  rstStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goAway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

/** Frame flags; `ack` and `endStream` share a bit on different frame types. */
export const frameFlag = { ack: 1, endStream: 1, endHeaders: 4, padded: 8, priority: 32 } as const;

/** Error codes (RFC 9113 section 7). */
export const http2Error = {
  noError: 0,
  protocolError: 1,
  internalError: 2,
  flowControlError: 3,
  settingsTimeout: 4,
  streamClosed: 5,
  frameSizeError: 6,
  refusedStream: 7,
  cancel: 8,
  compressionError: 9,
  connectError: 10,
  enhanceYourCalm: 11,
  inadequateSecurity: 12,
  http11Required: 13,
} as const;

/** What a client sends first (RFC 9113 section 3.4). */
export const connectionPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/** Bytes of a frame header. */
export const frameHeaderBytes = 9;

/** Payload size every peer accepts before it says otherwise. */
export const smallestMaxFrameBytes = 16_384;

/** Largest payload size that SETTINGS_MAX_FRAME_SIZE can name. */
export const largestMaxFrameBytes = 16_777_215;

/** Flow-control window of a connection and of a stream before SETTINGS or WINDOW_UPDATE change it. */
export const defaultWindowBytes = 65_535;

/** A flow-control window beyond this is an error. */
export const largestWindowBytes = 2_147_483_647;

/**
 * The peer broke the protocol in a way that ends the connection. Thrown by the parsing code and caught
 * in one place, where the connection answers GOAWAY with the code.
 */
export class ConnectionError extends Error {
  override readonly name = "ConnectionError";
  /** One of `http2Error`. */
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}
