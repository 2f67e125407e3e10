/** Header blocks a server answers with, encoded. */
import { encodeHeaders } from "./hpack-encoder.ts";
import { encodeGrpcMessage } from "./status-text.ts";
import { grpcStatus } from "./types.ts";
import type { GrpcStatusCode, Metadata } from "./types.ts";

const headFields: Metadata = [
  [":status", "200"],
  ["content-type", "application/grpc"],
];

/** Opens an answer that has messages. */
export const answerHead = encodeHeaders(headFields);

/** Ends a good answer without metadata. */
const okTrailers = encodeHeaders([["grpc-status", "0"]]);

/** How a call ends. */
export interface CallStatus {
  readonly code: GrpcStatusCode;
  readonly message: string;
  readonly metadata: Metadata;
}

/** Line breaks and NUL would end a header early at some peers; they become spaces. */
function clean([name, value]: readonly [string, string]): [string, string] {
  return [name, /[\0\r\n]/.test(value) ? value.replaceAll(/[\0\r\n]/g, " ") : value];
}

/** Metadata as a block to append. */
export function encodeMetadata(metadata: Metadata): Buffer {
  return encodeHeaders(metadata.map(clean));
}

function statusFields(status: CallStatus): [string, string][] {
  const message: [string, string][] =
    status.message === "" ? [] : [["grpc-message", encodeGrpcMessage(status.message)]];
  return [["grpc-status", String(status.code)], ...message, ...status.metadata.map(clean)];
}

/** Ends an answer after its messages. */
export function encodeTrailers(status: CallStatus): Buffer {
  if (status.code === grpcStatus.ok && status.message === "" && status.metadata.length === 0)
    return okTrailers;
  return encodeHeaders(statusFields(status));
}

/** The whole answer when there is no message. */
export function encodeTrailersOnly(status: CallStatus): Buffer {
  const accept: [string, string][] =
    status.code === grpcStatus.unimplemented ? [["grpc-accept-encoding", "identity,gzip"]] : [];
  return encodeHeaders([...headFields, ...accept, ...statusFields(status)]);
}

/** An answer to something that is not gRPC. */
export function encodeHttpAnswer(httpStatus: string): Buffer {
  return encodeHeaders([
    [":status", httpStatus],
    ["content-type", "text/plain"],
  ]);
}
