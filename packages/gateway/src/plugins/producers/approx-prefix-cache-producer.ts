/**
 * Guesses how much of a prompt each server has in its prefix cache, from what was sent there: hashes of blocks of the
 * prompt's bytes, four of them for a token.
 */
import { z } from "zod";
import { prefixMatchKey } from "../../contracts/plugins/data-keys.ts";
import type {
  PrefixMatch,
  Producer,
  SchedulableEndpoint,
  ScheduledRequest,
  ServedEnd,
} from "../../contracts/plugins/scheduling.ts";
import type { Random } from "../../core/random.ts";
import { definePlugin } from "../define-plugin.ts";
import { dataAt } from "../request-data.ts";
import { BlockIndex } from "./prefix/block-index.ts";
import {
  hashedInATurn,
  hashOfRange,
  PromptHasher,
  seedFor,
  sizeOf,
  type HashState,
} from "./prefix/prompt-hash.ts";
import { ReplyTails } from "./prefix/reply-tails.ts";

/** Bytes that count as a token. */
const bytesPerToken = 4;

/** Shorter blocks cost more than they tell. */
const leastBlockTokens = 64;

/** Models whose seeds are kept. */
const maxKnownModels = 1_024;

const parameters = z.lazy(() =>
  z.strictObject({
    autoTune: z
      .boolean()
      .default(true)
      .describe("Whether a server's capacity is what it tells: its own blocks times their size"),
    blockSizeTokens: z
      .int()
      .min(1)
      .default(16)
      .describe(`Tokens of a block; fewer than ${leastBlockTokens} count as ${leastBlockTokens}`),
    maxPrefixTokensToMatch: z
      .int()
      .min(1)
      .optional()
      .describe(
        "Tokens of a prompt that are looked at; default 131,072; goes before `maxPrefixBlocksToMatch`",
      ),
    maxPrefixBlocksToMatch: z.int().min(1).optional().describe("The same in blocks"),
    lruCapacityPerServer: z
      .int()
      .min(1)
      .default(31_250)
      .describe("Blocks of a server that does not tell, or without `autoTune`"),
  }),
);

type Parameters = z.infer<typeof parameters>;

/** What is known of one request's prompt. */
class PromptBlocks implements PrefixMatch {
  matched: Int32Array;
  longest = 0;
  readonly total: number;
  readonly blockTokens: number;
  /** Two words for each whole block. */
  readonly hashes: Int32Array;
  readonly count: number;
  readonly bytes: number;
  readonly seed: HashState;

  constructor(parts: readonly Uint8Array[], hasher: PromptHasher, seed: HashState, limits: Limits) {
    this.hashes = hasher.hashes;
    this.count = hasher.count;
    this.seed = seed;
    this.bytes = sizeOf(parts);
    this.blockTokens = limits.blockTokens;
    this.total = Math.min(limits.maxBlocks, Math.ceil(this.bytes / (bytesPerToken * limits.blockTokens)));
    this.matched = noMatch;
  }

  /** Whether all of the prompt was looked at. */
  get isWhole(): boolean {
    return this.bytes < (this.count + 1) * this.blockTokens * bytesPerToken;
  }

  /** Hash of the block before so many; the seed before the first. */
  lowBefore(blocks: number): number {
    return blocks === 0 ? this.seed.a : (this.hashes[2 * blocks - 2] ?? 0);
  }

  highBefore(blocks: number): number {
    return blocks === 0 ? this.seed.b : (this.hashes[2 * blocks - 1] ?? 0);
  }
}

const noMatch = new Int32Array(0);

/** What the live producer found, in a shadow's thread. */
class AdoptedMatch implements PrefixMatch {
  matched: Int32Array;
  readonly longest: number;
  readonly total: number;
  readonly blockTokens: number;

  constructor(total: number, longest: number, blockTokens: number, found: readonly number[]) {
    this.matched = Int32Array.from(found);
    this.longest = longest;
    this.total = total;
    this.blockTokens = blockTokens;
  }

  /** Endpoints at the end for which nothing was found were left out. */
  fit(length: number): void {
    if (this.matched.length >= length) return;
    const all = new Int32Array(length);
    all.set(this.matched);
    this.matched = all;
  }
}

interface Limits {
  readonly blockTokens: number;
  readonly maxBlocks: number;
}

class ApproxPrefixCacheProducer implements Producer {
  readonly #options: Parameters;
  readonly #limits: Limits;
  readonly #index: number;
  readonly #secret: HashState;
  readonly #seeds = new Map<string, HashState>();
  readonly #blocks: BlockIndex;
  readonly #tails = new ReplyTails();
  #matched = new Int32Array(16);
  /** The last hash of a prompt's piece, of the request that runs. */
  readonly #behind = { from: -1, length: -1, hash: 0 };

  constructor(options: Parameters, index: number, random: Random) {
    const { blockSizeTokens, maxPrefixTokensToMatch, maxPrefixBlocksToMatch } = options;
    const blockTokens = Math.max(leastBlockTokens, blockSizeTokens);
    const byTokens = Math.max(1, Math.floor((maxPrefixTokensToMatch ?? 131_072) / blockTokens));
    const maxBlocks = maxPrefixTokensToMatch === undefined ? (maxPrefixBlocksToMatch ?? byTokens) : byTokens;
    this.#options = options;
    this.#limits = { blockTokens, maxBlocks };
    this.#index = index;
    this.#secret = { a: word(random), b: word(random) };
    const capacityOf = (endpoint: SchedulableEndpoint): number => this.#capacityOf(endpoint);
    this.#blocks = new BlockIndex(capacityOf);
  }

  prepare(request: ScheduledRequest): Promise<void> | undefined {
    const hasher = this.#hasherFor(request);
    const blocksInATurn = Math.ceil(hashedInATurn / (this.#limits.blockTokens * bytesPerToken));
    if (hasher.go(blocksInATurn)) return void this.#keep(request, hasher);
    return this.#hashOn(request, hasher, blocksInATurn);
  }

  /** What was found, for a shadow: it hears of the same requests, and would find the same. */
  digest(request: ScheduledRequest): Uint8Array | undefined {
    const prompt = dataAt<PromptBlocks>(request, this.#index);
    if (prompt === undefined) return undefined;
    const { matched, longest, total } = prompt;
    let { length } = matched;
    while (length > 0 && matched[length - 1] === 0) length--;
    const words = new Int32Array(2 + length);
    words[0] = total;
    words[1] = longest;
    for (let i = 0; i < length; i++) words[2 + i] = matched[i] ?? 0;
    return new Uint8Array(words.buffer);
  }

  adopt(request: ScheduledRequest, digest: Uint8Array): void {
    const [total = 0, longest = 0, ...found] = new Int32Array(digest.slice().buffer);
    request.data[this.#index] = new AdoptedMatch(total, longest, this.#limits.blockTokens, found);
  }

  produce(request: ScheduledRequest, endpoints: readonly SchedulableEndpoint[]): void {
    const adopted = request.data[this.#index];
    if (adopted instanceof AdoptedMatch) return adopted.fit(endpoints.length);
    let prompt = dataAt<PromptBlocks>(request, this.#index);
    if (prompt === undefined) {
      const hasher = this.#hasherFor(request);
      hasher.go(hasher.count);
      prompt = this.#keep(request, hasher);
    }
    const { length } = endpoints;
    if (this.#matched.length < length) this.#matched = new Int32Array(2 * length);
    const matched = this.#matched;
    this.#blocks.match(prompt.hashes, prompt.count);
    this.#behind.from = -1;
    let longest = 0;
    for (let i = 0; i < length; i++) {
      const lane = this.#blocks.laneOf(endpoints[i]?.slot ?? -1);
      const blocks = lane < 0 ? 0 : this.#withReply(request, prompt, lane, this.#blocks.countOf(lane));
      matched[i] = blocks;
      if (blocks > longest) longest = blocks;
    }
    prompt.matched = matched;
    prompt.longest = longest;
  }

  dispatched(request: ScheduledRequest, endpoint: SchedulableEndpoint): void {
    const prompt = this.#promptOf(request);
    if (prompt !== undefined && prompt.count > 0) {
      this.#blocks.assume(endpoint, prompt.hashes, prompt.count);
    }
  }

  ended(request: ScheduledRequest, endpoint: SchedulableEndpoint, end: ServedEnd): void {
    const prompt = this.#promptOf(request);
    if (prompt === undefined) return;
    const { hashes, count } = prompt;
    if (!end.prefilled) return this.#blocks.retract(endpoint, hashes, count);
    this.#blocks.confirm(endpoint, hashes, count, count > 0);
    const replyTokens = end.usage?.completionTokens ?? 0;
    const lane = this.#blocks.laneOf(endpoint.slot);
    if (!end.ok || !prompt.isWhole || prompt.bytes === 0 || lane < 0) return;
    const from = count * this.#limits.blockTokens * bytesPerToken;
    const length = prompt.bytes - from;
    const hash = hashOfRange(request.promptBytes, from, length, prompt.seed.a);
    this.#tails.note(lane, prompt.lowBefore(count), prompt.highBefore(count), { length, hash, replyTokens });
  }

  forgotten(endpoint: SchedulableEndpoint): void {
    this.#blocks.forget(endpoint);
  }

  /**
   * Blocks that the server has with the answer to an earlier prompt that ended behind the blocks that match, where this one
   * goes on from there.
   */
  #withReply(request: ScheduledRequest, prompt: PromptBlocks, lane: number, blocks: number): number {
    if (this.#tails.isEmpty || blocks >= prompt.total) return blocks;
    const tail = this.#tails.find(lane, prompt.lowBefore(blocks), prompt.highBefore(blocks));
    if (tail === undefined) return blocks;
    const { blockTokens } = this.#limits;
    const from = blocks * blockTokens * bytesPerToken;
    const end = from + tail.length;
    if (end > prompt.bytes) return blocks;
    if (this.#hashBehind(request, prompt, from, tail.length) !== tail.hash) return blocks;
    if (end === prompt.bytes) return prompt.total;
    const tokens = Math.floor(end / bytesPerToken) + tail.replyTokens;
    return Math.max(blocks, Math.min(prompt.total, Math.floor(tokens / blockTokens)));
  }

  #promptOf(request: ScheduledRequest): PromptBlocks | undefined {
    const prompt = request.data[this.#index];
    return prompt instanceof PromptBlocks ? prompt : undefined;
  }

  /** Servers that had the same prompts ask for the same hash. */
  #hashBehind(request: ScheduledRequest, { seed }: PromptBlocks, from: number, length: number): number {
    const known = this.#behind;
    if (known.from === from && known.length === length) return known.hash;
    known.from = from;
    known.length = length;
    return (known.hash = hashOfRange(request.promptBytes, from, length, seed.a));
  }

  /** What a server tells of its cache, in blocks of ours. */
  #capacityOf({ signals }: SchedulableEndpoint): number {
    const { autoTune, lruCapacityPerServer } = this.#options;
    const tokens = signals.blocks * signals.blockTokens;
    if (!autoTune || !(tokens > 0)) return lruCapacityPerServer;
    return Math.max(1, Math.floor(tokens / this.#limits.blockTokens));
  }

  #hasherFor({ promptBytes, model }: ScheduledRequest): PromptHasher {
    const { blockTokens, maxBlocks } = this.#limits;
    return new PromptHasher(promptBytes, this.#seedOf(model), blockTokens * bytesPerToken, maxBlocks);
  }

  #keep(request: ScheduledRequest, hasher: PromptHasher): PromptBlocks {
    const prompt = new PromptBlocks(request.promptBytes, hasher, this.#seedOf(request.model), this.#limits);
    request.data[this.#index] = prompt;
    return prompt;
  }

  async #hashOn(request: ScheduledRequest, hasher: PromptHasher, blocks: number): Promise<void> {
    do await new Promise<void>((resolve) => setImmediate(resolve));
    while (!hasher.go(blocks));
    this.#keep(request, hasher);
  }

  #seedOf(model: string): HashState {
    const known = this.#seeds.get(model);
    if (known !== undefined) return known;
    const seed = seedFor(model, this.#secret);
    if (this.#seeds.size < maxKnownModels) this.#seeds.set(model, seed);
    return seed;
  }
}

function word(random: Random): number {
  return Math.floor(random.unit() * 2 ** 32) | 0;
}

/** `approx-prefix-cache-producer`. */
export const approxPrefixCacheProducer = definePlugin({
  type: "approx-prefix-cache-producer",
  kinds: ["producer"],
  summary: "Guesses how much of a prompt each server has in its prefix cache, by what was sent there",
  parameters,
  needs: { produces: [prefixMatchKey], signals: ["blocks", "blockTokens"], prompt: true },
  create: (options, host): Producer =>
    new ApproxPrefixCacheProducer(options, host.dataIndex(prefixMatchKey), host.random),
});
