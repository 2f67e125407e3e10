/** Envoy's messages (`ProcessingRequest`), as far as a picker needs them. */
import type { HeaderMap } from "../../core/headers.ts";
import { readHeaders } from "./read-headers.ts";
import { WireCursor } from "./wire-cursor.ts";

/** Which part of the HTTP request, or of its answer, a message brings. */
export type PartKind =
  | "requestHeaders"
  | "responseHeaders"
  | "requestBody"
  | "responseBody"
  | "requestTrailers"
  | "responseTrailers";

/** How bodies are sent: `ProcessingMode.BodySendMode`. */
export const bodyMode = {
  none: 0,
  streamed: 1,
  buffered: 2,
  bufferedPartial: 3,
  fullDuplex: 4,
  grpc: 5,
} as const;

/** What Envoy said about bodies. One that says nothing is taken to stream both ways. */
export interface BodyModes {
  readonly request: number;
  readonly response: number;
}

/** A message, read. It is valid during the call that it is given to. */
export interface EnvoyMessage {
  /** Undefined: none that is known. */
  readonly kind: PartKind | undefined;
  readonly endOfStream: boolean;
  /** Of headers and trailers. */
  readonly headers: HeaderMap;
  /** Of a body: a view of the message. */
  readonly body: Buffer;
  /** `metadata_context`, for `read-metadata.ts`; undefined where it is absent. */
  readonly metadata: WireCursor | undefined;
  /** Of a stream's first message. */
  readonly modes: BodyModes | undefined;
}

const kinds: Readonly<Record<number, PartKind>> = {
  0x12: "requestHeaders",
  0x1a: "responseHeaders",
  0x22: "requestBody",
  0x2a: "responseBody",
  0x32: "requestTrailers",
  0x3a: "responseTrailers",
};

const metadataTag = 0x42;
const protocolTag = 0x5a;
const noHeaders: HeaderMap = Object.freeze({});
const noBody = Buffer.alloc(0);

/** Reads a message. Throws a `WireError`. */
export function readMessage(bytes: Buffer, maxHeaders: number): EnvoyMessage {
  const cursor = new WireCursor(bytes);
  let part: Part | undefined;
  let metadata: WireCursor | undefined;
  let modes: BodyModes | undefined;
  while (cursor.more) {
    const tag = cursor.varint();
    const kind = kinds[tag];
    if (kind !== undefined) part = readPart(kind, cursor.message(), maxHeaders);
    else if (tag === metadataTag) metadata = cursor.message();
    else if (tag === protocolTag) modes = readModes(cursor.message());
    else cursor.skip(tag);
  }
  const { kind, endOfStream = false, headers = noHeaders, body = noBody } = part ?? {};
  return { kind, endOfStream, headers, body, metadata, modes };
}

interface Part {
  readonly kind: PartKind;
  readonly endOfStream: boolean;
  readonly headers: HeaderMap;
  readonly body: Buffer;
}

/** `HttpHeaders`, `HttpBody` or `HttpTrailers`: the first field is the content, the end of the stream is field 3 or 2. */
function readPart(kind: PartKind, cursor: WireCursor, maxHeaders: number): Part {
  const isBody = kind === "requestBody" || kind === "responseBody";
  const endTag = isBody ? 0x10 : 0x18;
  let endOfStream = false;
  let headers = noHeaders;
  let body: Buffer = noBody;
  while (cursor.more) {
    const tag = cursor.varint();
    if (tag === endTag) endOfStream = cursor.varint() !== 0;
    else if (tag !== 0x0a) cursor.skip(tag);
    else if (isBody) {
      const end = cursor.span();
      body = cursor.bytes.subarray(cursor.at, end);
      cursor.at = end;
    } else headers = readHeaders(cursor.message(), maxHeaders);
  }
  return { kind, endOfStream, headers, body };
}

function readModes(cursor: WireCursor): BodyModes {
  let request = 0;
  let response = 0;
  while (cursor.more) {
    const tag = cursor.varint();
    if (tag === 0x08) request = cursor.varint();
    else if (tag === 0x10) response = cursor.varint();
    else cursor.skip(tag);
  }
  return { request, response };
}
