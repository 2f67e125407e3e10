/** Prompts of the fleet simulation: token numbers, from which both the engine's blocks and the picker's bytes follow. */
import { BlockChain } from "../../packages/simulator/src/engine/prompt.ts";
import type { Prompt } from "../../packages/simulator/src/engine/prompt.ts";
import { mix } from "../../packages/simulator/src/random.ts";

/** A run of tokens that is always the same for a seed. One token is four bytes of text. */
export function textOf(seed: number, tokens: number): Uint32Array {
  const text = new Uint32Array(tokens);
  const start = mix(seed);
  for (let at = 0; at < tokens; at++) text[at] = mix(start + at);
  return text;
}

/** Parts in their order: a system prompt, earlier turns, the question. Parts may be shared among prompts. */
export class PromptText {
  readonly parts: readonly Uint32Array[];
  readonly tokens: number;
  /** Tokens that other requests have in common with this one from the start. */
  readonly sharedTokens: number;
  /** Which of the shared prefixes it starts with; -1: none. */
  readonly group: number;
  readonly #chains = new Map<number, Prompt>();

  constructor(parts: readonly Uint32Array[], sharedTokens = 0, group = -1) {
    this.parts = parts;
    this.sharedTokens = sharedTokens;
    this.group = group;
    this.tokens = parts.reduce((sum, part) => sum + part.length, 0);
  }

  /** The parts as bytes; views. */
  bytes(): Uint8Array[] {
    return this.parts.map((part) => new Uint8Array(part.buffer, part.byteOffset, part.byteLength));
  }

  /** Cut in blocks of the given size; worked out once. Adapters have blocks of their own: their name's hash is the salt. */
  prompt(blockTokens: number, salt = 0): Prompt {
    const key = salt * 4096 + blockTokens;
    const known = this.#chains.get(key);
    if (known !== undefined) return known;
    const chain = new BlockChain(blockTokens, salt);
    for (const part of this.parts) for (const token of part) chain.add(token);
    const prompt = chain.prompt();
    this.#chains.set(key, prompt);
    return prompt;
  }
}
