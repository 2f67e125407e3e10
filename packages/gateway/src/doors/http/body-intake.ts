/**
 * Reads the body of one request whole, within a bound of its own and one over all requests. Never
 * pauses it: Node does not notice that a client has left while its upload is paused.
 */
import { failure, isFailure, type Failure } from "../../core/errors.ts";
import { BodyCollector } from "./body-collector.ts";
import type { BodyRequest, BodySink } from "./body-request.ts";
import type { ByteBudget } from "./byte-budget.ts";
import { bodyEncodingOf, decodeBody, type BodyEncoding } from "./decode-body.ts";

/** How long a caller is asked to stay away when too many bytes are held. */
const overloadedRetryMs = 1_000;

/** Where the bytes count. */
export interface BodyBounds {
  readonly maxBodyBytes: number;
  readonly budget: ByteBudget;
}

/** A body on its way in. */
export class BodyIntake implements BodySink {
  readonly #request: BodyRequest;
  readonly #bounds: BodyBounds;
  /** Bytes still to come at most, as announced; infinite for a chunked body. */
  readonly announced: number;
  #collector: BodyCollector | undefined;
  #encoding: BodyEncoding = "identity";
  #held = 0;
  #done: (body: Uint8Array | Failure) => void = ignore;
  #stopDecoding: () => void = ignore;

  constructor(request: BodyRequest, bounds: BodyBounds, announced: number) {
    this.#request = request;
    this.#bounds = bounds;
    this.announced = announced;
  }

  /** What the headers alone say against the body. Ask before `read`. */
  refusal(): Failure | undefined {
    if (this.announced > this.#bounds.maxBodyBytes && this.announced !== Infinity) {
      return this.#tooLarge(`this one has ${this.announced}`);
    }
    const header = this.#request.headers["content-encoding"];
    const encoding = bodyEncodingOf(header);
    if (encoding === undefined) return unknownEncoding(header ?? "");
    this.#encoding = encoding;
    return undefined;
  }

  /** Starts reading. `done` is called once, later, unless `close` comes before. */
  read(done: (body: Uint8Array | Failure) => void): void {
    this.#done = done;
    const expected = this.announced === Infinity ? undefined : this.announced;
    this.#collector = new BodyCollector(expected, "collector");
    this.#request.feed(this);
  }

  /** Nobody wants the body any more; gives back what it held. What still arrives is thrown away. Idempotent. */
  close(): void {
    this.#collector = undefined;
    this.#done = ignore;
    this.#stopDecoding();
    this.#bounds.budget.release(this.#held);
    this.#held = 0;
  }

  received(piece: Uint8Array): void {
    const collector = this.#collector;
    if (collector === undefined) return;
    if (collector.length + piece.length > this.#bounds.maxBodyBytes) this.#end(this.#tooLarge("more came"));
    else if (this.#take(piece.length)) collector.add(piece);
    else this.#end(overloaded());
  }

  receivedAll(): void {
    const body = this.#collector?.bytes();
    if (body === undefined) return;
    if (this.#encoding === "identity") this.#end(body);
    else this.#decode(body, this.#encoding);
  }

  #decode(body: Uint8Array, encoding: Exclude<BodyEncoding, "identity">): void {
    const maxBytes = this.#bounds.maxBodyBytes;
    this.#stopDecoding = decodeBody(
      body,
      { encoding, maxBytes, take: (bytes) => this.#take(bytes) },
      (decoded) => this.#end(isFailure(decoded) && decoded.code === "overloaded" ? overloaded() : decoded),
    );
  }

  #end(result: Uint8Array | Failure): void {
    const done = this.#done;
    this.#collector = undefined;
    this.#done = ignore;
    done(result);
  }

  #take(bytes: number): boolean {
    if (!this.#bounds.budget.take(bytes)) return false;
    this.#held += bytes;
    return true;
  }

  #tooLarge(got: string): Failure {
    return failure("body_too_large", `A body may have ${this.#bounds.maxBodyBytes} bytes; ${got}`);
  }
}

/** The body that a request announces; undefined where it has none. */
export function intakeOf(request: BodyRequest, bounds: BodyBounds): BodyIntake | undefined {
  const { headers } = request;
  const length = headers["content-length"];
  const announced = length === undefined ? Infinity : Number(length);
  const isThere = headers["transfer-encoding"] !== undefined || (length !== undefined && announced > 0);
  return isThere ? new BodyIntake(request, bounds, announced) : undefined;
}

function overloaded(): Failure {
  return failure("overloaded", undefined, overloadedRetryMs);
}

function unknownEncoding(header: string): Failure {
  const name = JSON.stringify(header.slice(0, 50));
  return failure(
    "unsupported_media_type",
    `Content-Encoding ${name} is not known; expected gzip, deflate or br`,
  );
}

function ignore(): void {}
