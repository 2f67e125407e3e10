/**
 * Hashes of a prompt's blocks, each over all that stands before it: two 32-bit lanes of multiply and shift, 64 bits in sum.
 * Good for finding equal beginnings, not for secrets; the seed is the process's own, so that nobody outside can make two
 * prompts look alike.
 */

/** Where the two lanes stand. */
export interface HashState {
  a: number;
  b: number;
}

/** Bytes that are hashed in one turn of the event loop: under a millisecond. */
export const hashedInATurn = 524_288;

/** Hashes the parts of one prompt, as if they were one text. */
export class PromptHasher {
  readonly #parts: readonly Uint8Array[];
  readonly #blockBytes: number;
  readonly #state: HashState;
  readonly #scratch: Uint8Array;
  /** The part that is read, a view of it, and how far it is read. */
  #part = 0;
  #view: DataView | undefined;
  #at = 0;
  #done = 0;
  /** Two words for each whole block. */
  readonly hashes: Int32Array;
  /** Whole blocks, at most those asked for. */
  readonly count: number;

  /** `seed` is where the state begins; `blockBytes` is a multiple of 4. */
  constructor(parts: readonly Uint8Array[], seed: HashState, blockBytes: number, maxBlocks: number) {
    this.#parts = parts;
    this.#blockBytes = blockBytes;
    this.#state = { a: seed.a, b: seed.b };
    this.#scratch = new Uint8Array(blockBytes);
    this.count = Math.min(maxBlocks, Math.floor(sizeOf(parts) / blockBytes));
    this.hashes = new Int32Array(2 * this.count);
  }

  /** Hashes up to so many blocks. True once all are. */
  go(blocks: number): boolean {
    const end = Math.min(this.count, this.#done + blocks);
    for (; this.#done < end; this.#done++) this.#block();
    return this.#done === this.count;
  }

  #block(): void {
    const size = this.#blockBytes;
    const part = this.#parts[this.#part];
    if (part !== undefined && part.length - this.#at >= size) {
      this.#view ??= viewOf(part);
      mix(this.#state, this.#view, this.#at, size);
      this.#at += size;
    } else {
      this.#gather(size);
      mix(this.#state, viewOf(this.#scratch), 0, size);
    }
    finish(this.#state, this.hashes, 2 * this.#done);
  }

  /** A block that lies in several parts. */
  #gather(size: number): void {
    for (let filled = 0; filled < size;) {
      const part = this.#parts[this.#part];
      if (part === undefined) return;
      const piece = part.subarray(this.#at, this.#at + size - filled);
      this.#scratch.set(piece, filled);
      filled += piece.length;
      this.#at += piece.length;
      if (this.#at < part.length) return;
      this.#part++;
      this.#at = 0;
      this.#view = undefined;
    }
  }
}

/** Bytes of all parts. */
export function sizeOf(parts: readonly Uint8Array[]): number {
  let size = 0;
  for (const part of parts) size += part.length;
  return size;
}

/** Where the lanes begin for a text: a model's name, under a seed. */
export function seedFor(text: string, seed: HashState): HashState {
  const bytes = new Uint8Array(Buffer.from(text));
  const padded = new Uint8Array(4 * Math.ceil(bytes.length / 4) + 4);
  padded.set(bytes);
  const state = { a: seed.a ^ bytes.length, b: seed.b };
  mix(state, viewOf(padded), 0, padded.length);
  return { a: scramble(state.a ^ rotate(state.b)), b: scramble(state.b + 1) };
}

/** Hash of `length` bytes from `from` on, for comparing pieces that are no whole block. */
export function hashOfRange(
  parts: readonly Uint8Array[],
  from: number,
  length: number,
  seed: number,
): number {
  const bytes = new Uint8Array(4 * Math.ceil(length / 4) + 4);
  let skipped = 0;
  let filled = 0;
  for (const part of parts) {
    const begin = Math.max(0, from - skipped);
    skipped += part.length;
    if (begin >= part.length) continue;
    const piece = part.subarray(begin, begin + length - filled);
    bytes.set(piece, filled);
    filled += piece.length;
    if (filled === length) break;
  }
  const state = { a: seed ^ length, b: seed + filled };
  mix(state, viewOf(bytes), 0, bytes.length);
  return scramble(state.a ^ rotate(state.b));
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function mix(state: HashState, view: DataView, from: number, size: number): void {
  let { a, b } = state;
  for (let at = from; at < from + size; at += 4) {
    const word = view.getInt32(at, true);
    a = Math.imul(a ^ word, 0x9e3779b1);
    a ^= a >>> 15;
    b = Math.imul((b + word) | 0, 0x85ebca77);
    b = (b << 13) | (b >>> 19);
  }
  state.a = a;
  state.b = b;
}

/** The block's hash, of both lanes, neither of which it changes. */
function finish({ a, b }: HashState, hashes: Int32Array, at: number): void {
  const low = scramble(a ^ rotate(b));
  hashes[at] = low;
  hashes[at + 1] = scramble((b + low) | 0);
}

function rotate(word: number): number {
  return (word << 16) | (word >>> 16);
}

/** The finalizer of MurmurHash3 (Austin Appleby; in the public domain). */
function scramble(word: number): number {
  let mixed = Math.imul(word ^ (word >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) | 0;
}
