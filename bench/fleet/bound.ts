/** What no router can exceed. */
import type { EngineOptions } from "../../packages/simulator/src/engine/options.ts";
import type { Ask } from "./fleet-request.ts";
import { AskSource } from "./load-case.ts";
import type { LoadCase } from "./load-case.ts";

/** The bound of a fleet. */
export interface Bound {
  readonly requestsPerSecond: number;
  /** Tokens of answers a second. */
  readonly outputPerSecond: number;
  /**
   * Share of the bound that a fleet does: tokens of answers a second, and prompt tokens a second that are no one else's, each at
   * what it costs there. Of a fleet whose queue grows, prompts are ahead of answers or behind.
   */
  shareOf(done: { readonly outputPerSecond: number; readonly ownPromptPerSecond: number }): number;
}

/** Requests that the mean is taken over. */
const SAMPLE = 20_000;

/**
 * Tokens of answers a second of all servers together, if every shared prefix were computed once in the whole fleet and no
 * server idled while another had a queue: servers over the mean time that a request takes of one. That is its own prompt
 * tokens at the rate of prompts, and for each token of its answer its share of a step: the step's constant over as many
 * sequences as the memory holds of what they do not share, its own constant and the reading of its context.
 */
export function boundOf(load: LoadCase, engine: EngineOptions, servers: number, seed: number): Bound {
  const source = new AskSource(load, seed);
  const asks = Array.from({ length: SAMPLE }, () => source.next());
  const own = meanOf(asks, ({ text }) => text.tokens - text.sharedTokens);
  const output = meanOf(asks, ({ outputTokens }) => outputTokens);
  const tokenMs = decodingOf(asks, engine) / output;
  const requestMs = own * engine.prefillMsPerToken + output * tokenMs;
  const requestsPerSecond = (servers * 1000) / requestMs;
  return {
    requestsPerSecond,
    outputPerSecond: requestsPerSecond * output,
    shareOf: ({ outputPerSecond, ownPromptPerSecond }) =>
      (outputPerSecond * tokenMs + ownPromptPerSecond * engine.prefillMsPerToken) / (servers * 1000),
  };
}

/** Milliseconds that a request's answer takes of a server, on average. */
function decodingOf(asks: readonly Ask[], engine: EngineOptions): number {
  const output = meanOf(asks, ({ outputTokens }) => outputTokens);
  // Of the answer half is there on average; longer answers hold it longer.
  const held =
    meanOf(
      asks,
      ({ text, outputTokens }) => outputTokens * (text.tokens - text.sharedTokens + outputTokens / 2),
    ) / output;
  const sequences = Math.min(engine.maxSequences, (engine.kvBlocks * engine.blockTokens) / held);
  return meanOf(asks, ({ text, outputTokens }) => {
    const context = text.tokens + outputTokens / 2;
    const reading = (context / 1000) * engine.contextMsPerThousandTokens;
    return outputTokens * (engine.stepMs / sequences + engine.decodeMsPerSequence + reading);
  });
}

function meanOf(asks: readonly Ask[], value: (ask: Ask) => number): number {
  return asks.reduce((sum, ask) => sum + value(ask), 0) / asks.length;
}
