/** Token counts as OpenAI words them. */
import type { Outcome } from "../service.ts";

/** The `usage` object. */
export function openaiUsage({ promptTokens, cachedTokens, completionTokens }: Outcome): unknown {
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
    prompt_tokens_details: { cached_tokens: cachedTokens },
  };
}

/** Seconds since 1970, for `created`. */
export function seconds(ms: number): number {
  return Math.floor(ms / 1_000);
}
