/** Header blocks a server answers with, encoded. */
import { encodeHeaders } from "./hpack-encoder.ts";
import { cleanMetadata } from "./metadata.ts";
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

function statusFields(status: CallStatus): Metadata {
  const message: [string, string][] =
    status.message === "" ? [] : [["grpc-message", encodeGrpcMessage(status.message)]];
  return [["grpc-status", String(status.code)], ...message, ...cleanMetadata(status.metadata)];
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
