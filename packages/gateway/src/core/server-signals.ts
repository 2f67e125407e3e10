/** What a model server tells of itself in its metrics, in the words that all makes have in common. */

/**
 * One object for each endpoint, kept as long as the endpoint and written in place by the data layer at each scrape.
 * Everybody else only reads, within one turn of the event loop. A quantity that was never told is NaN.
 */
export interface ServerSignals {
  /** When the page of metrics arrived, ms on the clock; `-Infinity`: never. */
  updatedAt: number;
  /** Requests that wait in the server. */
  waiting: number;
  /** Requests that the server computes. */
  running: number;
  /** Share of the KV cache in use, 0 to 1. */
  kvUsage: number;
  /** Tokens in a block of the KV cache. */
  blockTokens: number;
  /** Blocks that the KV cache has. */
  blocks: number;
  /** LoRA adapters that fit at once. */
  maxAdapters: number;
  runningAdapters: readonly string[];
  waitingAdapters: readonly string[];
  /** Quantities of the configuration's own mappings, by their names there. */
  custom: ReadonlyMap<string, number>;
}

/** Nothing is known yet. */
export function createSignals(): ServerSignals {
  return {
    updatedAt: Number.NEGATIVE_INFINITY,
    waiting: Number.NaN,
    running: Number.NaN,
    kvUsage: Number.NaN,
    blockTokens: Number.NaN,
    blocks: Number.NaN,
    maxAdapters: Number.NaN,
    runningAdapters: [],
    waitingAdapters: [],
    custom: new Map(),
  };
}

/**
 * Work that this gateway has on its way at one endpoint. Written by the leases of scheduling alone: what a lease adds
 * it takes away, exactly once.
 */
export interface EndpointLoad {
  /** Requests under way. */
  requests: number;
  /** Prompt tokens that the server does not have in its cache, of requests without a first token yet. */
  promptTokens: number;
  /** Completion tokens that are expected of the requests under way. */
  outputTokens: number;
  /** Requests sent since the last page of metrics arrived: those that `signals` cannot have counted. */
  sentSinceScrape: number;
}

/** No work. */
export function createLoad(): EndpointLoad {
  return { requests: 0, promptTokens: 0, outputTokens: 0, sentSinceScrape: 0 };
}
