/** Reading and checking what opens a request (RFC 9113 section 8.3, gRPC over HTTP/2). */
import type { HeaderBlock } from "./hpack-decoder.ts";
import { decodeGrpcTimeout } from "./grpc-timeout.ts";
import { grpcStatus } from "./types.ts";
import type { GrpcStatusCode, Metadata } from "./types.ts";

/** A gRPC request's head, understood. */
export interface RequestHead {
  readonly kind: "grpc";
  readonly path: string;
  readonly metadata: Metadata;
  readonly timeoutMs: number | undefined;
  /** Flagged messages are gzip. */
  readonly gzip: boolean;
  /** Announced body length; −1 without one. */
  readonly contentLength: number;
}

/** What a request's head turns out to be. */
export type RequestHeadResult =
  | RequestHead
  /** Breaks HTTP/2's rules: the stream is reset with PROTOCOL_ERROR. */
  | { readonly kind: "malformed" }
  /** Valid HTTP, not gRPC: answered with an HTTP status. */
  | { readonly kind: "http"; readonly status: string; readonly text: string; readonly contentLength: number }
  /** gRPC that cannot be served: answered with a gRPC status. */
  | { readonly kind: "refused"; readonly code: GrpcStatusCode; readonly text: string };

/** Headers that belong to HTTP/1.1 connections and must not occur (RFC 9113 section 8.2.2). */
const forbidden = new Set(["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"]);

/** Headers of the transport, not passed on as metadata. */
const transport = new Set([
  "te",
  "content-type",
  "content-length",
  "grpc-timeout",
  "grpc-encoding",
  "grpc-accept-encoding",
]);

const fieldName = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;
const forbiddenInValue = /[\0\r\n]/;

/** Fields by meaning, while a block is read. */
interface Collected {
  readonly pseudo: Map<string, string>;
  readonly transport: Map<string, string>;
  readonly metadata: [string, string][];
}

const malformed: RequestHeadResult = { kind: "malformed" };

/** Understands a request's first block. Equal blocks are understood once. */
export function readRequestHead(block: HeaderBlock): RequestHeadResult {
  const known = block.parsed as RequestHeadResult | undefined;
  if (known) return known;
  const result = understand(block);
  block.parsed = result;
  return result;
}

function understand(block: HeaderBlock): RequestHeadResult {
  if (block.tooLarge)
    return {
      kind: "refused",
      code: grpcStatus.resourceExhausted,
      text: "the request's headers are too large",
    };
  const collected = collect(block.fields);
  if (!collected) return malformed;
  const contentLength = readContentLength(collected.transport.get("content-length"));
  if (contentLength === undefined || !hasRequestPseudo(collected.pseudo)) return malformed;
  const http = notGrpc(collected, contentLength);
  if (http) return http;
  const encoding = collected.transport.get("grpc-encoding") ?? "identity";
  if (encoding !== "identity" && encoding !== "gzip")
    return {
      kind: "refused",
      code: grpcStatus.unimplemented,
      text: `grpc-encoding ${encoding} is not supported`,
    };
  const timeout = collected.transport.get("grpc-timeout");
  const timeoutMs = timeout === undefined ? undefined : decodeGrpcTimeout(timeout);
  if (timeout !== undefined && timeoutMs === undefined)
    return { kind: "refused", code: grpcStatus.internal, text: "malformed grpc-timeout" };
  return {
    kind: "grpc",
    path: collected.pseudo.get(":path") ?? "",
    metadata: collected.metadata,
    timeoutMs,
    gzip: encoding === "gzip",
    contentLength,
  };
}

/** Sorts the fields; undefined when one breaks the rules. */
function collect(fields: readonly string[]): Collected | undefined {
  const collected: Collected = { pseudo: new Map(), transport: new Map(), metadata: [] };
  let regular = false;
  for (let at = 0; at < fields.length; at += 2) {
    const name = fields[at] ?? "";
    const value = fields[at + 1] ?? "";
    if (forbiddenInValue.test(value)) return undefined;
    if (name.startsWith(":")) {
      if (regular || collected.pseudo.has(name)) return undefined;
      collected.pseudo.set(name, value);
      continue;
    }
    regular = true;
    if (!fieldName.test(name) || forbidden.has(name) || (name === "te" && value !== "trailers"))
      return undefined;
    if (transport.has(name)) collected.transport.set(name, value);
    else collected.metadata.push([name, value]);
  }
  return collected;
}

const requestPseudo = new Set([":method", ":scheme", ":path", ":authority"]);

function hasRequestPseudo(pseudo: ReadonlyMap<string, string>): boolean {
  for (const name of pseudo.keys()) if (!requestPseudo.has(name)) return false;
  if (pseudo.get(":method") === "CONNECT") return pseudo.has(":authority");
  return pseudo.has(":method") && pseudo.has(":scheme") && (pseudo.get(":path") ?? "") !== "";
}

/** −1 without one; undefined when it is not a number. */
function readContentLength(text: string | undefined): number | undefined {
  if (text === undefined) return -1;
  return /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

function notGrpc(collected: Collected, contentLength: number): RequestHeadResult | undefined {
  const type = collected.transport.get("content-type") ?? "";
  if (/^application\/grpc(?:\+proto)?(?:;|$)/.test(type) && collected.pseudo.get(":method") === "POST")
    return undefined;
  const post = collected.pseudo.get(":method") === "POST";
  const status = post ? "415" : "405";
  return { kind: "http", status, text: "This port speaks gRPC only.\n", contentLength };
}

/** True when a block may end a request: no pseudo fields, no forbidden ones. */
export function areTrailersValid(block: HeaderBlock): boolean {
  const collected = collect(block.fields);
  return collected !== undefined && collected.pseudo.size === 0 && !block.tooLarge;
}
