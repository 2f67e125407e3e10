/** Text forms of gRPC's status (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md) and its kin in HTTP. */
import { http2Error } from "./http2-codes.ts";
import { grpcStatus } from "./types.ts";
import type { GrpcStatusCode } from "./types.ts";

/** Longest `grpc-message` sent, in characters before encoding: it must fit a peer's header bound. */
const maxMessageChars = 2_000;

/** Percent-encodes a message for `grpc-message`; long ones are cut. */
export function encodeGrpcMessage(text: string): string {
  const cut = text.length > maxMessageChars ? `${text.slice(0, maxMessageChars)}…` : text;
  if (/^[\x20-\x24\x26-\x7e]*$/.test(cut)) return cut;
  let encoded = "";
  for (const byte of Buffer.from(cut, "utf8")) {
    const plain = byte >= 0x20 && byte <= 0x7e && byte !== 0x25;
    encoded += plain ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return encoded;
}

/** Decodes `grpc-message`; what is not valid percent-encoding is kept as it is. */
export function decodeGrpcMessage(text: string): string {
  if (!text.includes("%")) return text;
  const bytes: number[] = [];
  for (let at = 0; at < text.length; at++) {
    const escape = text[at] === "%" ? text.slice(at + 1, at + 3) : "";
    if (/^[0-9a-fA-F]{2}$/.test(escape)) {
      bytes.push(Number.parseInt(escape, 16));
      at += 2;
    } else bytes.push(text.charCodeAt(at) & 0xff);
  }
  return Buffer.from(bytes).toString("utf8");
}

/** Reads `grpc-status`; anything that is not a known code is `unknown`. */
export function toGrpcStatus(text: string): GrpcStatusCode {
  const known = Object.values(grpcStatus).find((code) => String(code) === text);
  return known ?? grpcStatus.unknown;
}

/**
 * The status for an answer that has none, by its HTTP status
 * (https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md).
 */
export function statusFromHttp(httpStatus: string): GrpcStatusCode {
  switch (httpStatus) {
    case "400":
      return grpcStatus.internal;
    case "401":
      return grpcStatus.unauthenticated;
    case "403":
      return grpcStatus.permissionDenied;
    case "404":
      return grpcStatus.unimplemented;
    case "429":
    case "502":
    case "503":
    case "504":
      return grpcStatus.unavailable;
    default:
      return grpcStatus.unknown;
  }
}

/** The status for a stream that was reset, by the code of its RST_STREAM. */
export function statusFromReset(code: number): GrpcStatusCode {
  switch (code) {
    case http2Error.refusedStream:
      return grpcStatus.unavailable;
    case http2Error.cancel:
      return grpcStatus.cancelled;
    case http2Error.enhanceYourCalm:
      return grpcStatus.resourceExhausted;
    case http2Error.inadequateSecurity:
      return grpcStatus.permissionDenied;
    default:
      return grpcStatus.internal;
  }
}
