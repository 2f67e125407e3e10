/**
 * A serving engine with continuous batching, as vLLM's: step by step, each computes the next token of every running
 * sequence and, with what is left of its token budget, pieces of prompts. One timer a step, whatever runs.
 */
import type { Clock, Timer } from "../clock.ts";
import { mix } from "../random.ts";
import { Adapters } from "./adapters.ts";
import { KvCache } from "./kv-cache.ts";
import type { EngineOptions } from "./options.ts";
import { BlockChain } from "./prompt.ts";
import { Sequence } from "./sequence.ts";
import type { SequenceRequest } from "./sequence.ts";

/** Counters since the start. */
export interface EngineCounters {
  promptTokens: number;
  generationTokens: number;
  /** Prompt tokens looked up in the prefix cache, and those found. */
  prefixQueries: number;
  prefixHits: number;
  preemptions: number;
  finished: number;
  aborted: number;
  refused: number;
  steps: number;
  /** Simulated milliseconds spent in steps. */
  busyMs: number;
}

/** Hears of what metrics need. Times in simulated milliseconds. */
export interface EngineObserver {
  /** A sequence made its first token. */
  firstToken(sequence: Sequence): void;
  /** A sequence got a token `gapMs` after its last. */
  gap(gapMs: number): void;
  /** A step began that computes `tokens` tokens. */
  step(tokens: number): void;
  /** A step has ended: what finished is out, what waits has not been looked at yet. */
  stepEnded?(): void;
  /** A sequence ended, with all its tokens or called off. */
  ended(sequence: Sequence): void;
}

/** Behind by more than this, an engine gives up catching up: the machine slept. */
const MAX_LAG_MS = 1000;

/** Sequences in, tokens out. Single writer: everything happens in `submit`, `abort` and the step's timer. */
export class Engine {
  readonly options: EngineOptions;
  readonly cache: KvCache;
  readonly adapters: Adapters;
  readonly counters: EngineCounters = {
    promptTokens: 0,
    generationTokens: 0,
    prefixQueries: 0,
    prefixHits: 0,
    preemptions: 0,
    finished: 0,
    aborted: 0,
    refused: 0,
    steps: 0,
    busyMs: 0,
  };
  readonly #clock: Clock;
  readonly #observer: EngineObserver | undefined;
  readonly #waiting: Sequence[] = [];
  #running: Sequence[] = [];
  #timer: Timer | undefined;
  #due = 0;
  #closed = false;
  #stepping = false;
  readonly #endStep = (): void => this.#finishStep();
  readonly #beginStep = (): void => this.#startStep(this.#clock.now());

  constructor(options: EngineOptions, clock: Clock, observer?: EngineObserver) {
    this.options = options;
    this.#clock = clock;
    this.#observer = observer;
    this.cache = new KvCache(options.kvBlocks);
    this.adapters = new Adapters(options);
  }

  get running(): number {
    return this.#running.length;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** Names of adapters that sequences wait for. */
  waitingAdapters(): string[] {
    return [...new Set(this.#waiting.flatMap(({ adapter }) => adapter ?? []))];
  }

  /** Prompt tokens found in the cache if it were asked now. */
  cachedTokens(request: Pick<SequenceRequest, "prompt">): number {
    return this.#sharedBlocks(request.prompt) * this.options.blockTokens;
  }

  /** Starts a sequence, or undefined when the queue is full or it can never fit. */
  submit(request: SequenceRequest): Sequence | undefined {
    const { options } = this;
    const needed = Math.ceil((request.prompt.tokens + request.outputTokens) / options.blockTokens);
    if (this.#waiting.length >= options.maxWaiting || needed > options.kvBlocks || this.#closed) {
      this.counters.refused += 1;
      return undefined;
    }
    const sequence = new Sequence(request, this.#clock.now());
    this.#waiting.push(sequence);
    this.#timer ??= this.#clock.after(0, this.#beginStep);
    return sequence;
  }

  /** Calls a sequence off and gives its memory back at once. Does nothing when it has ended. */
  abort(sequence: Sequence): void {
    if (sequence.state === "finished" || sequence.state === "aborted") return;
    if (sequence.state === "waiting") this.#waiting.splice(this.#waiting.indexOf(sequence), 1);
    // Within a step the batch is swept at its end.
    else if (!this.#stepping) this.#running.splice(this.#running.indexOf(sequence), 1);
    this.#end(sequence, "aborted");
    this.counters.aborted += 1;
  }

  /** Stops the clockwork; sequences stay as they are and nothing more is told. */
  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #startStep(from: number): void {
    this.#timer = undefined;
    const { options } = this;
    let budget = options.maxBatchedTokens;
    let decoding = 0;
    let context = 0;
    this.#growAll();
    for (const sequence of this.#running) {
      sequence.chunk = Math.min(sequence.target - sequence.computed, budget);
      budget -= sequence.chunk;
      if (sequence.produced > 0 && sequence.chunk === 1) {
        decoding += 1;
        context += sequence.computed;
      }
    }
    const admitted = this.#admit(budget);
    if (this.#running.length === 0) return;
    const prefill = options.maxBatchedTokens - admitted.budget - decoding;
    const duration =
      options.stepMs +
      prefill * options.prefillMsPerToken +
      decoding * options.decodeMsPerSequence +
      (context / 1000) * options.contextMsPerThousandTokens +
      admitted.loads * options.adapterLoadMs;
    this.counters.steps += 1;
    this.counters.busyMs += duration;
    this.#observer?.step(prefill + decoding);
    this.#due = from + duration;
    this.#timer = this.#clock.after(this.#due - this.#clock.now(), this.#endStep);
  }

  /** Moves sequences from the queue into the batch while there are seats, tokens and blocks. */
  #admit(budget: number): { budget: number; loads: number } {
    let loads = 0;
    for (let at = 0; at < this.#waiting.length && budget > 0;) {
      const sequence = this.#waiting[at];
      if (sequence === undefined || this.#running.length >= this.options.maxSequences) break;
      const adapter = this.#enterAdapter(sequence);
      if (adapter === "full") {
        at += 1;
        continue;
      }
      if (!this.#allocate(sequence)) {
        if (sequence.adapter !== undefined) this.adapters.leave(sequence.adapter);
        break;
      }
      if (adapter === "load") loads += 1;
      this.#waiting.splice(at, 1);
      this.#running.push(sequence);
      sequence.state = "running";
      sequence.chunk = Math.min(sequence.target - sequence.computed, budget);
      budget -= sequence.chunk;
    }
    return { budget, loads };
  }

  #enterAdapter({ adapter }: Sequence): "ready" | "load" | "full" {
    return adapter === undefined ? "ready" : this.adapters.enter(adapter);
  }

  /** Blocks of the prompt that are cached; the last prompt token is always computed, it makes the first answer token. */
  #sharedBlocks({ tokens, blocks }: SequenceRequest["prompt"]): number {
    if (!this.options.prefixCache) return 0;
    const most = Math.floor((tokens - 1) / this.options.blockTokens);
    return Math.min(this.cache.match(blocks), Math.max(0, most));
  }

  #allocate(sequence: Sequence): boolean {
    const { blockTokens } = this.options;
    const shared = this.#sharedBlocks(sequence.prompt);
    const blocks = Math.ceil((sequence.target + 1) / blockTokens);
    const holding = this.cache.take(sequence.prompt.blocks, shared, blocks - shared);
    if (holding === undefined) return false;
    sequence.holding = holding;
    sequence.named = shared;
    sequence.computed = shared * blockTokens;
    this.counters.prefixQueries += sequence.prompt.tokens;
    this.counters.prefixHits += sequence.computed;
    if (Number.isNaN(sequence.scheduledAt)) {
      sequence.scheduledAt = this.#clock.now();
      sequence.cachedTokens = sequence.computed;
      this.counters.promptTokens += sequence.prompt.tokens;
    }
    return true;
  }

  /** A block more for each sequence whose next token does not fit; without room the youngest one steps back. */
  #growAll(): void {
    for (let at = 0; at < this.#running.length; at++) {
      const sequence = this.#running[at];
      if (sequence?.holding === undefined) continue;
      const { holding } = sequence;
      const room = (holding.named.length + holding.own) * this.options.blockTokens;
      if (sequence.target + 1 <= room) continue;
      while (!this.cache.grow(holding)) {
        const youngest = this.#running.at(-1);
        if (youngest === undefined) return;
        this.#preempt(youngest);
        if (youngest === sequence) break;
      }
    }
  }

  #preempt(sequence: Sequence): void {
    this.#running.pop();
    this.#nameOutput(sequence);
    this.#giveBack(sequence);
    sequence.state = "waiting";
    sequence.computed = 0;
    sequence.preemptions += 1;
    this.counters.preemptions += 1;
    this.#waiting.unshift(sequence);
  }

  #finishStep(): void {
    this.#timer = undefined;
    const due = this.#due;
    this.#stepping = true;
    let ended = 0;
    for (const sequence of this.#running) {
      if (sequence.state === "running" && sequence.chunk > 0) this.#advance(sequence, due);
      if (sequence.state !== "running") ended += 1;
    }
    this.#stepping = false;
    if (ended > 0) this.#running = this.#running.filter(({ state }) => state === "running");
    this.#observer?.stepEnded?.();
    if (this.#closed || (this.#running.length === 0 && this.#waiting.length === 0)) return;
    const now = this.#clock.now();
    this.#startStep(now - due > MAX_LAG_MS ? now : due);
  }

  #advance(sequence: Sequence, due: number): void {
    sequence.computed += sequence.chunk;
    sequence.chunk = 0;
    if (sequence.named < sequence.prompt.blocks.length) this.#namePrompt(sequence);
    if (sequence.computed === sequence.target) this.#produce(sequence, due);
  }

  #produce(sequence: Sequence, due: number): void {
    sequence.produced += 1;
    this.counters.generationTokens += 1;
    if (sequence.produced === 1) {
      sequence.firstTokenAt = due;
      this.#observer?.firstToken(sequence);
    } else this.#observer?.gap(due - sequence.lastTokenAt);
    sequence.lastTokenAt = due;
    sequence.listener.token(sequence);
    if (sequence.produced < sequence.outputTokens || sequence.state !== "running") return;
    this.counters.finished += 1;
    this.#nameOutput(sequence);
    this.#end(sequence, "finished");
    sequence.listener.finished(sequence);
  }

  #namePrompt(sequence: Sequence): void {
    if (!this.options.prefixCache || sequence.holding === undefined) return;
    const { blocks } = sequence.prompt;
    const complete = Math.min(Math.floor(sequence.computed / this.options.blockTokens), blocks.length);
    for (; sequence.named < complete; sequence.named++)
      this.cache.name(sequence.holding, blocks[sequence.named] ?? 0);
  }

  /** Names the blocks that hold the answer, so that the next turn of a conversation finds them. */
  #nameOutput({ holding, prompt, produced, computed, listener, named }: Sequence): void {
    if (!this.options.prefixCache || holding === undefined || named < prompt.blocks.length) return;
    const chain = new BlockChain(this.options.blockTokens, prompt.tail);
    const known = Math.min(produced, computed - prompt.tokens);
    for (let at = 0; at < known; at++) {
      const hash = chain.add(listener.tokenId?.(at) ?? mix(at));
      if (hash !== undefined) this.cache.name(holding, hash);
    }
  }

  #end(sequence: Sequence, state: "finished" | "aborted"): void {
    sequence.state = state;
    sequence.finishedAt = this.#clock.now();
    this.#giveBack(sequence);
    this.#observer?.ended(sequence);
  }

  #giveBack(sequence: Sequence): void {
    if (sequence.holding === undefined) return;
    this.cache.release(sequence.holding);
    sequence.holding = undefined;
    if (sequence.adapter !== undefined) this.adapters.leave(sequence.adapter);
  }
}
