/**
 * Reads a request's body whole, within a bound a request and one over all. Never pauses: Node does
 * not notice that a client has left while its upload is paused.
 */
import type { IncomingMessage } from "node:http";
import { brotliDecompress, gunzip, inflate } from "node:zlib";
import { failure, type Failure } from "../../core/errors.ts";
import type { BodyBudget } from "./body-budget.ts";

/** Where the bytes count. */
export interface BodyLimits {
  readonly maxBodyBytes: number;
  readonly budget: BodyBudget;
}

type Decoder = (
  body: Buffer,
  options: { readonly maxOutputLength: number },
  done: (error: Error | null, decoded: Buffer) => void,
) => void;

const decoders = {
  gzip: gunzip,
  "x-gzip": gunzip,
  deflate: inflate,
  br: brotliDecompress,
} as const satisfies Record<string, Decoder>;

/** What the head alone says against a body: too long, or in an encoding that is not known. */
export function bodyRefusal(request: IncomingMessage, limits: BodyLimits): Failure | undefined {
  const length = announcedLength(request);
  if (length !== undefined && length > limits.maxBodyBytes) return tooLarge(limits, length);
  const encoding = request.headers["content-encoding"]?.trim().toLowerCase();
  if (encoding === undefined || encoding === "identity" || Object.hasOwn(decoders, encoding))
    return undefined;
  const known = "gzip, deflate, br and identity";
  return failure(
    "unsupported_media_type",
    `Content-Encoding ${JSON.stringify(encoding.slice(0, 50))} is not known; known are ${known}`,
  );
}

/** Bytes the head announces; undefined for chunked bodies. */
function announcedLength(request: IncomingMessage): number | undefined {
  const header = request.headers["content-length"];
  return header === undefined ? undefined : Number(header);
}

function tooLarge(limits: BodyLimits, bytes: number): Failure {
  const more = Number.isFinite(bytes) ? `${bytes} bytes` : "more";
  return failure("body_too_large", `The body may have ${limits.maxBodyBytes} bytes; this one has ${more}`);
}

/** One body being read. `done` is called exactly once unless `stop` comes first. */
export class BodyReader {
  readonly #request: IncomingMessage;
  readonly #limits: BodyLimits;
  readonly #done: (body: Uint8Array | Failure) => void;
  /** Set when the length is known and the body does not lie in one chunk. */
  #target: Buffer | undefined;
  #chunks: Buffer[] = [];
  #received = 0;
  #taken = 0;
  #stopped = false;

  constructor(request: IncomingMessage, limits: BodyLimits, done: (body: Uint8Array | Failure) => void) {
    this.#request = request;
    this.#limits = limits;
    this.#done = done;
  }

  start(): void {
    const length = announcedLength(this.#request) ?? 0;
    if (!this.#take(length)) return this.#finish(failure("overloaded", undefined, 1_000));
    this.#request.on("data", (chunk: Buffer) => this.#onData(chunk, length));
    this.#request.on("end", () => this.#onEnd());
  }

  /** Gives back what the body holds of the budget; call when nothing refers to it any more. */
  release(): void {
    this.#limits.budget.give(this.#taken);
    this.#taken = 0;
  }

  /** Nobody wants the body any more; what still arrives is thrown away. */
  stop(): void {
    this.#stopped = true;
    this.#chunks = [];
    this.#target = undefined;
  }

  #take(bytes: number): boolean {
    if (!this.#limits.budget.take(bytes)) return false;
    this.#taken += bytes;
    return true;
  }

  #onData(chunk: Buffer, announced: number): void {
    if (this.#stopped) return;
    const before = this.#received;
    this.#received += chunk.length;
    if (this.#received > this.#limits.maxBodyBytes) return this.#finish(tooLarge(this.#limits, Infinity));
    const missing = this.#received - this.#taken;
    if (missing > 0 && !this.#take(missing)) return this.#finish(failure("overloaded", undefined, 1_000));
    if (chunk.length === announced || announced === 0) return void this.#chunks.push(chunk);
    this.#target ??= Buffer.allocUnsafeSlow(announced);
    chunk.copy(this.#target, before);
  }

  #onEnd(): void {
    if (this.#stopped) return;
    const [only] = this.#chunks;
    const body =
      this.#target ?? (this.#chunks.length === 1 && only !== undefined ? only : Buffer.concat(this.#chunks));
    this.#chunks = [];
    const encoding = this.#request.headers["content-encoding"]?.trim().toLowerCase();
    if (encoding === undefined || encoding === "identity") return this.#finish(body);
    this.#decode(encoding as keyof typeof decoders, body);
  }

  #decode(encoding: keyof typeof decoders, body: Buffer): void {
    const decode: Decoder = decoders[encoding];
    decode(body, { maxOutputLength: this.#limits.maxBodyBytes }, (error, decoded) => {
      if (this.#stopped) return;
      if (error === null) return this.#decoded(decoded);
      if ("code" in error && error.code === "ERR_BUFFER_TOO_LARGE")
        return this.#finish(tooLarge(this.#limits, Infinity));
      this.#finish(failure("bad_request", `The body is not valid ${encoding}: ${error.message}`));
    });
  }

  #decoded(body: Buffer): void {
    const more = body.length - this.#taken;
    if (more > 0 && !this.#take(more)) return this.#finish(failure("overloaded", undefined, 1_000));
    this.#finish(body);
  }

  #finish(result: Uint8Array | Failure): void {
    this.#stopped = true;
    this.#done(result);
  }
}
