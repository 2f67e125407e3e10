/** Undoes the content encoding of a request body, with a bound on what comes out. */
import { createBrotliDecompress, createGunzip, createInflate, createInflateRaw } from "node:zlib";
import { failure, type Failure } from "../../core/errors.ts";
import { BodyCollector } from "./body-collector.ts";

/** What a body may be encoded with. */
export type BodyEncoding = "identity" | "gzip" | "deflate" | "br";

/** Bounds of one decoding. */
export interface DecodeOptions {
  readonly encoding: Exclude<BodyEncoding, "identity">;
  readonly maxBytes: number;
  /** Asked for each piece that came out; false ends the decoding with `overloaded`. */
  readonly take: (bytes: number) => boolean;
}

const chunkBytes = 65_536;

/** The encoding a `Content-Encoding` header names; undefined for one that is not known, or for several. */
export function bodyEncodingOf(header: string | undefined): BodyEncoding | undefined {
  if (header === undefined) return "identity";
  const name = header.trim().toLowerCase();
  if (name === "" || name === "identity") return "identity";
  if (name === "gzip" || name === "x-gzip") return "gzip";
  return name === "deflate" || name === "br" ? name : undefined;
}

/**
 * Decodes in the thread pool. `done` is called once, later, unless the returned function is called
 * before: it ends the decoding.
 */
export function decodeBody(
  body: Uint8Array,
  options: DecodeOptions,
  done: (result: Uint8Array | Failure) => void,
): () => void {
  const decoder = createDecoder(options.encoding, body);
  const collected = new BodyCollector(undefined, "source");
  const stop = (result: Failure): void => {
    decoder.destroy();
    done(result);
  };
  decoder.on("data", (piece: Uint8Array) => {
    if (collected.length + piece.length > options.maxBytes) {
      stop(failure("body_too_large", `The body is larger than ${options.maxBytes} bytes once decompressed`));
    } else if (options.take(piece.length)) collected.add(piece);
    else stop(failure("overloaded"));
  });
  decoder.on("end", () => done(collected.bytes()));
  decoder.on("error", (error) =>
    stop(failure("bad_request", `The body is not valid ${options.encoding}: ${error.message}`)),
  );
  decoder.end(body);
  return () => void decoder.destroy();
}

/** `deflate` is meant to have zlib's wrapper (RFC 9110, 8.4.1.2), but some clients send it bare. */
function createDecoder(
  encoding: DecodeOptions["encoding"],
  body: Uint8Array,
): ReturnType<typeof createGunzip> {
  const options = { chunkSize: chunkBytes };
  switch (encoding) {
    case "gzip":
      return createGunzip(options);
    case "br":
      return createBrotliDecompress(options);
    case "deflate":
      return ((body[0] ?? 8) & 0x0f) === 8 ? createInflate(options) : createInflateRaw(options);
  }
}
