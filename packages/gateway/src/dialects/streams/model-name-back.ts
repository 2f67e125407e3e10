/** Gives an answer the name of the model that its caller asked for, where the server knows it by another. */

const key = Buffer.from('"model"');
const colon = 0x3a;
const space = 0x20;

/** Blanks between key, colon and value that are passed over, in sum. */
const maxBlanks = 16;

/**
 * Replaces `"model":"<server's name>"` wherever it stands, also where it is cut by the border of two chunks. Within
 * JSON text the quotes are escaped, so that what a model says is left alone.
 */
export class ModelNameBack {
  readonly #found: Buffer;
  readonly #put: Buffer;
  /** The beginning of what may become a match. */
  #held: Uint8Array | undefined;

  /** `served`: the name in the server's answers. `asked`: the caller's. */
  constructor(served: string, asked: string) {
    this.#found = Buffer.from(JSON.stringify(served));
    this.#put = Buffer.from(JSON.stringify(asked));
  }

  /** The bytes that can be passed on now. Views of the chunk where nothing is replaced. */
  push(chunk: Uint8Array): Uint8Array[] {
    const held = this.#held;
    this.#held = undefined;
    const bytes =
      held === undefined
        ? Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
        : Buffer.concat([held, chunk]);
    const out: Uint8Array[] = [];
    let done = 0;
    for (let at = bytes.indexOf(key); at >= 0; at = bytes.indexOf(key, at + key.length)) {
      const name = this.#nameAt(bytes, at + key.length);
      if (name === "no") continue;
      if (name === "cut") return this.#hold(bytes, done, at, out);
      if (name > done) out.push(bytes.subarray(done, name));
      out.push(this.#put);
      done = name + this.#found.length;
    }
    return this.#hold(bytes, done, Math.max(done, bytes.length - tailOf(bytes)), out);
  }

  /** What was held back. */
  end(): Uint8Array[] {
    const held = this.#held;
    this.#held = undefined;
    return held === undefined ? [] : [held];
  }

  #hold(bytes: Uint8Array, done: number, from: number, out: Uint8Array[]): Uint8Array[] {
    if (from > done) out.push(done === 0 && from === bytes.length ? bytes : bytes.subarray(done, from));
    if (from < bytes.length) this.#held = bytes.slice(from);
    return out;
  }

  /** Where the name begins behind a key; `cut`: the chunk ends before it is known. */
  #nameAt(bytes: Buffer, behindKey: number): number | "no" | "cut" {
    let at = behindKey;
    let seenColon = false;
    for (; at < behindKey + maxBlanks; at++) {
      const byte = bytes[at];
      if (byte === undefined) return "cut";
      if (byte === colon && !seenColon) seenColon = true;
      else if (byte !== space) break;
    }
    if (!seenColon) return "no";
    const there = bytes.subarray(at, at + this.#found.length);
    if (there.compare(this.#found, 0, there.length) !== 0) return "no";
    return there.length < this.#found.length ? "cut" : at;
  }
}

/** Length of the longest end of the bytes that the key begins with. */
function tailOf(bytes: Buffer): number {
  for (let length = Math.min(key.length - 1, bytes.length); length > 0; length--) {
    if (bytes.compare(key, 0, length, bytes.length - length) === 0) return length;
  }
  return 0;
}
