/** One answer in the making. */
import type { Holding } from "./kv-cache.ts";
import type { Prompt } from "./prompt.ts";

/** Who hears of a sequence's progress. Called synchronously at the end of a step. */
export interface SequenceListener {
  /** One more token exists: `sequence.produced` is its number, from 1. */
  token(sequence: Sequence): void;
  /** All tokens exist and the memory is given back. Not called after `abort`. */
  finished(sequence: Sequence): void;
  /** The 32-bit id of an output token, so that the answer's blocks can be found by the next prompt. */
  tokenId?(index: number): number;
}

/** What is asked of an engine. */
export interface SequenceRequest {
  readonly prompt: Prompt;
  /** Tokens to make before the sequence ends. At least 1. */
  readonly outputTokens: number;
  /** LoRA adapter; undefined is the base model. */
  readonly adapter?: string | undefined;
  readonly listener: SequenceListener;
}

/** `waiting`: no memory yet, or preempted. */
export type SequenceState = "waiting" | "running" | "finished" | "aborted";

/** Progress of a request. Written by the engine only; times are of the engine's clock, NaN until they happened. */
export class Sequence implements SequenceRequest {
  readonly prompt: Prompt;
  readonly outputTokens: number;
  readonly adapter: string | undefined;
  readonly listener: SequenceListener;
  state: SequenceState = "waiting";
  /** Tokens whose keys and values are in the cache. */
  computed = 0;
  produced = 0;
  /** Prompt tokens found in the cache when it first ran. */
  cachedTokens = 0;
  preemptions = 0;
  /** Tokens to compute in the current step. */
  chunk = 0;
  /** Named blocks so far. */
  named = 0;
  holding: Holding | undefined;
  readonly arrivedAt: number;
  scheduledAt = Number.NaN;
  firstTokenAt = Number.NaN;
  lastTokenAt = Number.NaN;
  finishedAt = Number.NaN;

  constructor(request: SequenceRequest, now: number) {
    this.prompt = request.prompt;
    this.outputTokens = Math.max(1, Math.floor(request.outputTokens));
    this.adapter = request.adapter;
    this.listener = request.listener;
    this.arrivedAt = now;
  }

  /** Tokens that must be computed before the next one can be made. */
  get target(): number {
    return this.prompt.tokens + this.produced;
  }
}
