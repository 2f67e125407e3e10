/** SETTINGS frames (RFC 9113 section 6.5): what we ask of the peer and what it asks of us. */
import {
  ConnectionError,
  defaultWindowBytes,
  http2Error,
  largestMaxFrameBytes,
  largestWindowBytes,
  smallestMaxFrameBytes,
} from "./http2-codes.ts";

/** Identifiers of the parameters. */
export const settingId = {
  headerTableSize: 1,
  enablePush: 2,
  maxConcurrentStreams: 3,
  initialWindowSize: 4,
  maxFrameSize: 5,
  maxHeaderListSize: 6,
} as const;

/** What the peer has asked of us so far. */
export interface PeerSettings {
  /** Streams we may have open. Unlimited until the peer says otherwise. */
  maxConcurrentStreams: number;
  /** Send window a stream begins with. */
  initialWindowBytes: number;
  /** Largest payload of a frame we may send. */
  maxFrameBytes: number;
}

/** What holds before the peer's first SETTINGS. */
export function defaultPeerSettings(): PeerSettings {
  return {
    maxConcurrentStreams: Number.POSITIVE_INFINITY,
    initialWindowBytes: defaultWindowBytes,
    maxFrameBytes: smallestMaxFrameBytes,
  };
}

/** Payload of a SETTINGS frame. */
export function encodeSettings(pairs: readonly (readonly [id: number, value: number])[]): Buffer {
  const payload = Buffer.allocUnsafe(pairs.length * 6);
  pairs.forEach(([id, value], index) => {
    payload.writeUInt16BE(id, index * 6);
    payload.writeUInt32BE(value, index * 6 + 2);
  });
  return payload;
}

/**
 * Takes over what a SETTINGS payload says; parameters that do not concern the sender of gRPC messages
 * are checked and left. Throws ConnectionError when the payload or a value is not allowed.
 */
export function applySettings(payload: Buffer, peer: PeerSettings): void {
  if (payload.length % 6 !== 0)
    throw new ConnectionError(http2Error.frameSizeError, "SETTINGS length is not a multiple of 6");
  for (let at = 0; at < payload.length; at += 6)
    applySetting(payload.readUInt16BE(at), payload.readUInt32BE(at + 2), peer);
}

function applySetting(id: number, value: number, peer: PeerSettings): void {
  switch (id) {
    case settingId.enablePush:
      if (value > 1) throw new ConnectionError(http2Error.protocolError, "SETTINGS_ENABLE_PUSH above 1");
      return;
    case settingId.maxConcurrentStreams:
      peer.maxConcurrentStreams = value;
      return;
    case settingId.initialWindowSize:
      if (value > largestWindowBytes)
        throw new ConnectionError(http2Error.flowControlError, "SETTINGS_INITIAL_WINDOW_SIZE above 2^31-1");
      peer.initialWindowBytes = value;
      return;
    case settingId.maxFrameSize:
      if (value < smallestMaxFrameBytes || value > largestMaxFrameBytes)
        throw new ConnectionError(http2Error.protocolError, "SETTINGS_MAX_FRAME_SIZE out of range");
      peer.maxFrameBytes = value;
      return;
    default:
  }
}
