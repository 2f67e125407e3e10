/** Joins the pieces of a request body as they arrive. */
import { freeMemory } from "@spillway/grpc";

/** Memory that is set aside at once for a body, whatever length it claims to have. */
const firstReserve = 1_048_576;

/** How much more of an announced body than has come is set aside: memory that nothing was written to costs next to nothing. */
const announcedFactor = 16;

const empty = new Uint8Array(0);

/** Whose the memory of the pieces is: the collector's, which frees what it has copied, or somebody else's. */
export type PieceOwner = "collector" | "source";

/**
 * A body of one piece is kept as it is; pieces after the first are copied once into memory that
 * grows, so that a claimed length alone costs nothing.
 */
export class BodyCollector {
  readonly #expected: number | undefined;
  readonly #owner: PieceOwner;
  #bytes: Uint8Array = empty;
  #length = 0;

  /** `expected` is the announced length in bytes; undefined when none was. */
  constructor(expected: number | undefined, owner: PieceOwner) {
    this.#expected = expected;
    this.#owner = owner;
  }

  /** Bytes added so far. */
  get length(): number {
    return this.#length;
  }

  add(piece: Uint8Array): void {
    const start = this.#length;
    this.#length += piece.length;
    if (start === 0) {
      this.#bytes = piece;
      return;
    }
    if (this.#bytes.length < this.#length) this.#grow(start);
    this.#bytes.set(piece, start);
    if (this.#owner === "collector") freeMemory(piece);
  }

  /** Everything added, as a view. */
  bytes(): Uint8Array {
    return this.#bytes.length === this.#length ? this.#bytes : this.#bytes.subarray(0, this.#length);
  }

  /** An announced body grows in few steps: each copies what has come, and megabytes take longer than the loop may be held. */
  #grow(used: number): void {
    const factor = this.#expected === undefined ? 2 : announcedFactor;
    const wanted = this.#length <= firstReserve / 2 ? firstReserve : factor * this.#length;
    const capacity = Math.max(this.#length, Math.min(wanted, this.#expected ?? wanted));
    const grown = Buffer.allocUnsafeSlow(capacity);
    grown.set(this.#bytes.subarray(0, used));
    if (this.#owner === "collector") freeMemory(this.#bytes);
    this.#bytes = grown;
  }
}
