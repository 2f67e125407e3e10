/** Reading an answer's header blocks: its head, and its trailers with the status. */
import type { HeaderBlock } from "./hpack-decoder.ts";
import { decodeGrpcMessage, toGrpcStatus } from "./status-text.ts";
import type { GrpcStatusCode, Metadata } from "./types.ts";

/** What a header block of an answer says. */
export interface ResponseBlock {
  /** `:status`, empty when absent (trailers). */
  readonly httpStatus: string;
  /** The content type is gRPC's. */
  readonly isGrpc: boolean;
  readonly gzip: boolean;
  /** An encoding this side cannot read. */
  readonly unknownEncoding: boolean;
  /** `grpc-status`, when present. */
  readonly status: GrpcStatusCode | undefined;
  /** `grpc-message`, decoded. */
  readonly message: string;
  readonly metadata: Metadata;
}

const hidden = new Set([
  "content-type",
  "content-length",
  "grpc-encoding",
  "grpc-accept-encoding",
  "grpc-status",
  "grpc-message",
  "date",
]);

/** Understands a block. Equal blocks are understood once. */
export function readResponseBlock(block: HeaderBlock): ResponseBlock {
  const known = block.parsed as ResponseBlock | undefined;
  if (known) return known;
  const values = new Map<string, string>();
  const metadata: [string, string][] = [];
  for (let at = 0; at < block.fields.length; at += 2) {
    const name = block.fields[at] ?? "";
    const value = block.fields[at + 1] ?? "";
    if (name.startsWith(":") || hidden.has(name)) values.set(name, value);
    else metadata.push([name, value]);
  }
  const encoding = values.get("grpc-encoding") ?? "identity";
  const status = values.get("grpc-status");
  const result: ResponseBlock = {
    httpStatus: values.get(":status") ?? "",
    isGrpc: (values.get("content-type") ?? "").startsWith("application/grpc"),
    gzip: encoding === "gzip",
    unknownEncoding: encoding !== "gzip" && encoding !== "identity",
    status: status === undefined ? undefined : toGrpcStatus(status),
    message: decodeGrpcMessage(values.get("grpc-message") ?? ""),
    metadata,
  };
  block.parsed = result;
  return result;
}
