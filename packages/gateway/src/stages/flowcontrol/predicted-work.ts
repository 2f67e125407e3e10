/** How many tokens a request is going to need, before anybody knows. */
import type { ForwardPayload, TokenUsage } from "../../core/forward.ts";

/** Models that are learnt of at most; what others need is guessed. */
const maxModels = 1_024;

/** Completion tokens for each prompt token, where nothing is known of a model: what Endpoint Pickers take, up to a bound. */
const usualRatio = 1.5;
const usualAnswer = 512;

/** Share of the newest answer in the mean, once there have been many. */
const newestShare = 0.02;

/** Mean lengths of answers by model, learnt from those that have ended. */
export class PredictedWork {
  readonly #answers = new Map<string, { mean: number; count: number }>();

  /** Prompt tokens, and those that the answer is expected to have: at most what the caller allows. */
  tokensOf(model: string, { estimate, operation }: ForwardPayload): number {
    const { promptTokens, maxCompletionTokens = Infinity } = estimate;
    if (operation === "embeddings" || operation === "embed" || operation === "count_tokens")
      return promptTokens;
    const expected = this.#answers.get(model)?.mean ?? Math.min(usualAnswer, promptTokens * usualRatio);
    return promptTokens + Math.round(Math.min(expected, maxCompletionTokens));
  }

  /** An answer has ended. */
  learn(model: string, { completionTokens }: TokenUsage): void {
    if (completionTokens === 0) return;
    const known = this.#answers.get(model);
    if (known !== undefined) {
      known.count++;
      known.mean += (completionTokens - known.mean) * Math.max(newestShare, 1 / known.count);
    } else if (this.#answers.size < maxModels) this.#answers.set(model, { mean: completionTokens, count: 1 });
  }
}
