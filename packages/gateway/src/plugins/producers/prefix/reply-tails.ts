/**
 * Where prompts ended whose answers servers have computed: a prompt that goes on there with further messages brings that
 * answer back, which the server has in its cache behind the prompt. A table of a fixed size; newer entries take the places of
 * older ones.
 */

/** Entries; a power of two. */
const places = 32_768;

/** Words of an entry: check, bytes behind the last whole block, hash of these, tokens of the answer. */
const words = 4;

/** What is known of one prompt's end. */
export interface ReplyTail {
  /** Bytes of the prompt behind its last whole block. */
  readonly length: number;
  readonly hash: number;
  readonly replyTokens: number;
}

/** Ends of prompts by server and by the hash of the last whole block. */
export class ReplyTails {
  #table: Int32Array | undefined;

  /** True where nothing was noted yet. */
  get isEmpty(): boolean {
    return this.#table === undefined;
  }

  /** Notes what the server answered. */
  note(lane: number, low: number, high: number, { length, hash, replyTokens }: ReplyTail): void {
    this.#table ??= new Int32Array(places * words);
    const at = placeOf(lane, low);
    this.#table[at] = checkOf(lane, high);
    this.#table[at + 1] = length;
    this.#table[at + 2] = hash;
    this.#table[at + 3] = replyTokens;
  }

  /** What was noted last for this server and this block; undefined: nothing, or it had to make room. */
  find(lane: number, low: number, high: number): ReplyTail | undefined {
    const table = this.#table;
    if (table === undefined) return undefined;
    const at = placeOf(lane, low);
    if (table[at] !== checkOf(lane, high)) return undefined;
    return { length: table[at + 1] ?? 0, hash: table[at + 2] ?? 0, replyTokens: table[at + 3] ?? 0 };
  }

  /** The server has lost it. */
  drop(lane: number, low: number, high: number): void {
    if (this.#table === undefined) return;
    const at = placeOf(lane, low);
    if (this.#table[at] === checkOf(lane, high)) this.#table[at] = 0;
  }
}

function placeOf(lane: number, low: number): number {
  return words * ((low ^ Math.imul(lane + 1, 0x9e3779b1)) & (places - 1));
}

/** Never 0, which is an empty place. */
function checkOf(lane: number, high: number): number {
  return (high ^ Math.imul(lane + 1, 0x85ebca6b)) | 1;
}
