/** What a model reads, as the engine sees it: a number of tokens, and a hash for each block of them and all before. */
import { hashText, mix } from "../random.ts";

/** A prompt cut in blocks. */
export interface Prompt {
  readonly tokens: number;
  /** One hash a full block; equal hashes mean equal tokens from the start up to the end of that block. */
  readonly blocks: readonly number[];
  /** The chain's state after the last token: its hash so far and how many tokens of the open block it covers. */
  readonly tail: ChainTail;
}

/** Where a chain of block hashes can be continued. */
export interface ChainTail {
  readonly high: number;
  readonly low: number;
  readonly open: number;
}

/** A run of tokens known by name: prompts whose first segments are equal share their blocks. */
export interface Segment {
  readonly id: string;
  readonly tokens: number;
}

/** Builds a chain of block hashes token by token. */
export class BlockChain {
  readonly blocks: number[] = [];
  tokens = 0;
  readonly #blockTokens: number;
  #high: number;
  #low: number;
  #open: number;

  /** @param start continues another chain, or a number that keeps chains of different models and adapters apart */
  constructor(blockTokens: number, start: ChainTail | number) {
    this.#blockTokens = blockTokens;
    const tail = typeof start === "number" ? { high: mix(start), low: mix(~start), open: 0 } : start;
    this.#high = tail.high;
    this.#low = tail.low;
    this.#open = tail.open;
  }

  /** Adds a token by its 32-bit id. Returns the hash of the block it closes. */
  add(token: number): number | undefined {
    this.tokens += 1;
    this.#high = Math.imul(this.#high ^ token, 0x01000193) ^ (this.#high >>> 15);
    this.#low = (Math.imul(this.#low, 31) + token) | 0;
    this.#open += 1;
    if (this.#open < this.#blockTokens) return undefined;
    this.#open = 0;
    this.#high = mix(this.#high);
    this.#low = mix(this.#low);
    const hash = (this.#high & 0x1fffff) * 2 ** 32 + (this.#low >>> 0);
    this.blocks.push(hash);
    return hash;
  }

  /** Where the chain stands. */
  tail(): ChainTail {
    return { high: this.#high, low: this.#low, open: this.#open };
  }

  /** The chain so far as a prompt. */
  prompt(): Prompt {
    return { tokens: this.tokens, blocks: this.blocks, tail: this.tail() };
  }
}

const TOKEN = /\s*[^\s]{1,12}|\s+/gu;

/**
 * Cuts a text in tokens: up to 12 characters that are no white space, with the white space before them. Simpler than
 * any real vocabulary, but a prefix of a text is a prefix of its tokens, which is what caches live on.
 */
export function splitTokens(text: string): string[] {
  return text.match(TOKEN) ?? [];
}

/** The number of a token of `splitTokens`. */
export function tokenId(token: string): number {
  return hashText(token);
}

/**
 * The prompt that texts are, one after the other; no token spans two of them. `salt` keeps models and adapters apart;
 * `extraTokens` are appended (images).
 */
export function promptOfText(
  texts: string | readonly string[],
  { blockTokens, salt = 0, extraTokens = 0 }: { blockTokens: number; salt?: number; extraTokens?: number },
): Prompt {
  const chain = new BlockChain(blockTokens, salt);
  for (const text of typeof texts === "string" ? [texts] : texts)
    for (const token of splitTokens(text)) chain.add(tokenId(token));
  for (let at = 0; at < extraTokens; at++) chain.add(mix(at + 1));
  return chain.prompt();
}

/** A prompt of named runs, for replays that need no text: `[{id: "prefix-3", tokens: 6000}, {id: "u17", tokens: 900}]`. */
export function promptOfSegments(segments: readonly Segment[], blockTokens: number, salt = 0): Prompt {
  const chain = new BlockChain(blockTokens, salt);
  for (const { id, tokens } of segments) {
    const name = hashText(id);
    for (let at = 0; at < tokens; at++) chain.add(mix(name + at));
  }
  return chain.prompt();
}
