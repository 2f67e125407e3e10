/** The body of a request, as its pieces come. */
import type { MetricValue } from "../../contracts/telemetry.ts";
import { failure, type Failure } from "../../core/errors.ts";
import type { StreamLimits } from "./stream-context.ts";

/** Held from its first piece until `release`. */
export class RequestBody {
  /** Trailers came behind it: they say that it is complete. */
  hasTrailers = false;
  /** Trailers came after the body was complete, and wait for their answer. */
  owesTrailers = false;
  readonly #limits: StreamLimits;
  readonly #held: MetricValue;
  #pieces: Buffer[] = [];
  #bytes = 0;
  #came = false;

  /** `held`: bytes of all bodies. */
  constructor(limits: StreamLimits, held: MetricValue) {
    this.#limits = limits;
    this.#held = held;
  }

  /** True where no piece came, not even an empty one. */
  get isAbsent(): boolean {
    return !this.#came;
  }

  get length(): number {
    return this.#bytes;
  }

  /** Takes a piece; a failure where one of the bounds is passed. */
  add(piece: Buffer): Failure | undefined {
    const { maxBodyBytes, maxTotalBodyBytes } = this.#limits;
    this.#came = true;
    if (this.#bytes + piece.length > maxBodyBytes) {
      return failure("body_too_large", `The body has more than ${maxBodyBytes} bytes`);
    }
    if (this.#held.value + piece.length > maxTotalBodyBytes) return failure("overloaded", undefined, 1_000);
    if (piece.length > 0) this.#pieces.push(piece);
    this.#bytes += piece.length;
    this.#held.value += piece.length;
    return undefined;
  }

  /** As they came. */
  get pieces(): readonly Buffer[] {
    return this.#pieces;
  }

  /** All of it in one; the same each time. */
  join(): Buffer {
    const [first, second] = this.#pieces;
    if (first !== undefined && second === undefined) return first;
    const whole = Buffer.concat(this.#pieces);
    this.#pieces = [whole];
    return whole;
  }

  /** Forgets it. Idempotent. */
  release(): void {
    this.#held.value -= this.#bytes;
    this.#bytes = 0;
    this.#pieces = [];
  }
}
