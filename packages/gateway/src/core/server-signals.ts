/** What a model server tells of itself in its metrics, in the words that all makes have in common. */

/** When each quantity that changes with the work was last told: arrival of the page it stood on, ms on the clock; `-Infinity`: never. */
export interface SignalTimes {
  waiting: number;
  running: number;
  kvUsage: number;
  /** Of `runningAdapters`, `waitingAdapters` and `maxAdapters`, which come together. */
  adapters: number;
}

/**
 * One object for each endpoint, kept as long as the endpoint and written in place by the data layer at each scrape.
 * Everybody else only reads, within one turn of the event loop. A quantity that was never told is NaN, and so is one
 * that the server has not told for as long as the pool's `staleAfterMs`: whoever reads a number may trust it. A page
 * without the quantity leaves the older value until then. Who wants it fresher looks at `told`. Block size, blocks and
 * `maxAdapters` are facts of the server's configuration and do not get stale.
 */
export interface ServerSignals {
  /** When the last page of metrics arrived, ms on the clock; `-Infinity`: never. */
  updatedAt: number;
  readonly told: SignalTimes;
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
  /** Quantities of the configuration's own mappings, by their names there; without those that are stale. */
  custom: ReadonlyMap<string, number>;
}

/** Nothing is known yet. */
export function createSignals(): ServerSignals {
  const never = Number.NEGATIVE_INFINITY;
  return {
    updatedAt: never,
    told: { waiting: never, running: never, kvUsage: never, adapters: never },
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
 * Work that this gateway has on its way at one endpoint. Written by the leases of scheduling: what a lease adds it
 * takes away, exactly once. The counts of what was sent since a page belong to `countSent` and its kin below.
 */
export interface EndpointLoad {
  /** Requests under way. */
  requests: number;
  /** Prompt tokens that the server does not have in its cache, of requests without a first token yet. */
  promptTokens: number;
  /** Completion tokens that are expected of the requests under way. */
  outputTokens: number;
  /**
   * Requests under way that `signals` cannot have counted: sent after the page that arrived last had been asked for.
   * Where no metrics are read, all that are under way.
   */
  sentSinceScrape: number;
  /** Those of them that were sent after the last page was asked for, which may be still to come. */
  sentSinceAsked: number;
  /** How many pages were asked for so far, and the number of the last of them that arrived. */
  pagesAsked: number;
  pageArrived: number;
}

/** No work. */
export function createLoad(): EndpointLoad {
  return {
    requests: 0,
    promptTokens: 0,
    outputTokens: 0,
    sentSinceScrape: 0,
    sentSinceAsked: 0,
    pagesAsked: 0,
    pageArrived: 0,
  };
}

/** A request was sent. Gives back what `uncountSent` has to be told when it has ended. */
export function countSent(load: EndpointLoad): number {
  load.sentSinceScrape++;
  load.sentSinceAsked++;
  return load.pagesAsked;
}

/** The request has ended: once for each `countSent`, with what that gave back. */
export function uncountSent(load: EndpointLoad, sentAt: number): void {
  if (load.pageArrived > sentAt) return;
  load.sentSinceScrape--;
  if (load.pagesAsked === sentAt) load.sentSinceAsked--;
}

/** A page of metrics was asked for: what is sent from here on it may not have counted. Only one is under way at a time. */
export function countPageAsked(load: EndpointLoad): void {
  load.pagesAsked++;
  load.sentSinceAsked = 0;
}

/** The page that was asked for last has arrived. */
export function countPageArrived(load: EndpointLoad): void {
  load.pageArrived = load.pagesAsked;
  load.sentSinceScrape = load.sentSinceAsked;
}
