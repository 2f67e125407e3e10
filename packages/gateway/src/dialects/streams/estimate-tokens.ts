/** Tokens guessed from sizes, where nobody counts them. */
import type { TokenEstimate, TokenUsage } from "../../core/forward.ts";
import type { Attachments } from "../json/value-bytes.ts";

/**
 * Bytes of UTF-8 a token. Text of European languages has about four; other scripts and code have fewer
 * bytes a token, JSON around a prompt adds bytes that are no tokens. A guess, good for limits and for
 * choosing endpoints, never for a bill: what comes of it is marked `estimated`.
 */
export const bytesPerToken = 4;

/** Tokens of so many bytes, rounded up. */
export function estimateTokens(bytes: number): number {
  return Math.ceil(bytes / bytesPerToken);
}

/**
 * Tokens of a picture, whatever its size: for OpenAI's models one costs 85 to 1,105
 * (platform.openai.com/docs/guides/images-vision), for Anthropic's a 750th of its pixels, about 1,600 at most
 * (docs.claude.com/en/docs/build-with-claude/vision). Finding its width would mean to decode it.
 */
const tokensOfPicture = 1000;

/** Tokens of a prompt of so many bytes, attachments included. */
export function estimatePrompt(bytes: number, attachments: Attachments): number {
  return estimateTokens(bytes - attachments.bytes) + attachments.count * tokensOfPicture;
}

/** Usage of an answer that broke off: what the server told by then may be of its beginning only. */
export function partialUsage(told: TokenUsage | undefined, guessed: TokenUsage): TokenUsage {
  if (told === undefined) return guessed;
  const { completionTokens } = guessed;
  return told.completionTokens >= completionTokens ? told : { ...told, completionTokens, estimated: true };
}

/** The usage of a request whose server told none. */
export function estimateUsage(estimate: TokenEstimate, contentBytes: number): TokenUsage {
  return {
    promptTokens: estimate.promptTokens,
    cachedTokens: 0,
    completionTokens: estimateTokens(contentBytes),
    estimated: true,
  };
}
