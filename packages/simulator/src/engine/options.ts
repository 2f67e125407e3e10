/** What an engine can hold and how long its work takes. */

/** One model on one set of accelerators. Times are simulated milliseconds. */
export interface EngineOptions {
  /** Sequences that run at once (vLLM `--max-num-seqs`, Ollama `OLLAMA_NUM_PARALLEL`). */
  readonly maxSequences: number;
  /** Tokens computed in one step, decode and prefill together (vLLM `--max-num-batched-tokens`). */
  readonly maxBatchedTokens: number;
  /** Sequences that wait; the next is refused. vLLM has no bound of its own: choose one that tests can reach. */
  readonly maxWaiting: number;
  /** Longest prompt and answer together, in tokens. */
  readonly maxContext: number;
  /** Tokens in a block of the key-value cache. */
  readonly blockTokens: number;
  /** Blocks in the key-value cache. */
  readonly kvBlocks: number;
  /** Whether computed blocks are kept for prompts that start alike. */
  readonly prefixCache: boolean;
  /** Of every step, whatever it computes. */
  readonly stepMs: number;
  /** Of every prompt token that is not cached. */
  readonly prefillMsPerToken: number;
  /** Of every sequence that gets its next token in a step. */
  readonly decodeMsPerSequence: number;
  /** Of every thousand tokens of context read while decoding. */
  readonly contextMsPerThousandTokens: number;
  /** Different LoRA adapters in one step (vLLM `--max-loras`). */
  readonly maxAdapters: number;
  /** Adapters kept in memory, least recently used out first (vLLM `--max-cpu-loras`). */
  readonly maxLoadedAdapters: number;
  /** Added to the step that first needs an adapter. */
  readonly adapterLoadMs: number;
}

/** A small, quick engine: 32 sequences, 2 ms a step. For tests that are not about speed. */
export const quickEngine: EngineOptions = {
  maxSequences: 32,
  maxBatchedTokens: 2048,
  maxWaiting: 512,
  maxContext: 32_768,
  blockTokens: 16,
  kvBlocks: 8192,
  prefixCache: true,
  stepMs: 2,
  prefillMsPerToken: 0.002,
  decodeMsPerSequence: 0,
  contextMsPerThousandTokens: 0,
  maxAdapters: 4,
  maxLoadedAdapters: 8,
  adapterLoadMs: 20,
};
