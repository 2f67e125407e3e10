/** gRPC requests as finished bytes: the HPACK block of the request headers and the length-prefixed message. */
import { buildBodies } from "./bodies.ts";
import { buildExtProcTurns, type Turn } from "./ext-proc-messages.ts";
import type { RequestSpec } from "./load-spec.ts";

/** A unary call ready to send. */
export interface GrpcRequest {
  /** HPACK block of the HEADERS frame. */
  readonly headers: Buffer;
  /** Five-byte gRPC prefix and message. Of a stream: those of its first turn. */
  readonly message: Buffer;
  /** Of a stream: all that is sent, in turn; undefined for a unary call. */
  readonly turns?: readonly Turn[];
}

/** Prepares every call, and every variant of its body, in order. The path is `/package.Service/Method`. */
export function buildGrpcRequests(
  specs: readonly RequestSpec[],
  options: { readonly authority: string },
): GrpcRequest[] {
  return specs.flatMap((spec) => {
    const headers = requestHeaders(spec, options.authority);
    if (spec.body?.kind === "ext-proc") {
      const streams = buildExtProcTurns(spec.body);
      return streams.map((turns) => ({ headers, message: turns[0]?.bytes ?? Buffer.alloc(0), turns }));
    }
    const messages =
      spec.body === undefined ? [Buffer.alloc(0)] : buildBodies(spec.body).map((body) => body.bytes);
    return messages.map((message) => ({ headers, message: withPrefix(message) }));
  });
}

/** An uncompressed gRPC message: a zero byte, the length as 32 bits, the bytes. */
export function withPrefix(message: Uint8Array): Buffer {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

/**
 * Literals without indexing and without Huffman coding (RFC 7541 section 6.2.2), so that the same block serves every
 * stream of every connection. 0x83 and 0x86 are `:method: POST` and `:scheme: http` of the static table.
 */
function requestHeaders(spec: RequestSpec, authority: string): Buffer {
  const fields = {
    ":path": spec.path,
    ":authority": authority,
    "content-type": "application/grpc",
    te: "trailers",
    ...spec.headers,
  };
  const literals = Object.entries(fields).map(([name, value]) =>
    Buffer.concat([Buffer.of(0), hpackString(name.toLowerCase()), hpackString(value)]),
  );
  return Buffer.concat([Buffer.of(0x83, 0x86), ...literals]);
}

function hpackString(text: string): Buffer {
  const bytes = Buffer.from(text, "latin1");
  return Buffer.concat([hpackLength(bytes.length), bytes]);
}

/** An integer with a seven-bit prefix (RFC 7541 section 5.1). */
function hpackLength(length: number): Buffer {
  if (length < 127) return Buffer.of(length);
  const bytes = [127];
  let rest = length - 127;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
  return Buffer.from([...bytes, rest]);
}
