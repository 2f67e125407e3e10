/** Pieces of OpenAI's answers, shared by whole ones and streams. */
import type { TokenUsage } from "../../core/forward.ts";
import type { ChatFinish, TokenLogprob } from "../chat/chat-answer.ts";
import { isJsonObject, type JsonObject } from "../chat/json-object.ts";
import { tokenCount } from "../chat/token-count.ts";

/** The first choice of an answer or event. */
export function firstChoice(value: JsonObject): JsonObject | undefined {
  const { choices } = value as { readonly choices?: unknown };
  const first: unknown = Array.isArray(choices) ? choices[0] : undefined;
  return isJsonObject(first) ? first : undefined;
}

/** A text that is not empty. */
export function textOf(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

/** What a message or delta says: a text, or parts of which those that are texts count (Mistral). */
export function contentTextOf({ content }: JsonObject): string | undefined {
  if (!Array.isArray(content)) return textOf(content);
  const texts = content.filter(isJsonObject).flatMap((part) => textOf(part["text"]) ?? []);
  return textOf(texts.join(""));
}

/** Reasoning stands in `reasoning_content` (DeepSeek, vLLM before 0.11, SGLang) or `reasoning` (vLLM, Ollama). */
export function thinkingOf(message: JsonObject): string | undefined {
  return textOf(message["reasoning_content"]) ?? textOf(message["reasoning"]);
}

/**
 * Undefined while the answer goes on. A `stop` after calls waits for their results: servers that were
 * told which tool to call say so.
 */
export function finishOf(choice: JsonObject, hasCalls: boolean): ChatFinish | undefined {
  const { finish_reason: reason, stop_reason: met } = choice;
  if (typeof reason !== "string") return undefined;
  const stopSequence = typeof met === "string" ? met : undefined;
  switch (reason) {
    case "length":
    case "content_filter":
    case "tool_calls":
      return { reason, stopSequence };
    case "function_call":
      return { reason: "tool_calls", stopSequence };
    default:
      return { reason: hasCalls ? "tool_calls" : "stop", stopSequence };
  }
}

/** From `usage`; undefined where there is none. */
export function usageOf(value: JsonObject): TokenUsage | undefined {
  const usage = value["usage"];
  if (!isJsonObject(usage)) return undefined;
  const details = usage["prompt_tokens_details"];
  return {
    promptTokens: tokenCount(usage["prompt_tokens"]) ?? 0,
    cachedTokens: isJsonObject(details) ? (tokenCount(details["cached_tokens"]) ?? 0) : 0,
    completionTokens: tokenCount(usage["completion_tokens"]) ?? 0,
    estimated: false,
  };
}

/** From a choice's `logprobs.content`. */
export function logprobsOf(choice: JsonObject): readonly TokenLogprob[] | undefined {
  const logprobs = choice["logprobs"];
  const content = isJsonObject(logprobs) ? logprobs["content"] : undefined;
  return Array.isArray(content) && content.length > 0 ? (content as TokenLogprob[]) : undefined;
}

/** A call of a tool, or a piece of one; ids and names only where they are told. */
export interface CallPiece {
  readonly index: number;
  readonly id: string | undefined;
  readonly name: string | undefined;
  readonly arguments: string;
}

/** From `tool_calls` of a message or delta. */
export function callsOf(message: JsonObject): readonly CallPiece[] {
  const calls = message["tool_calls"];
  if (!Array.isArray(calls)) return [];
  return calls.filter(isJsonObject).map((call, position) => {
    const { index, id, function: called } = call;
    const { name, arguments: text }: JsonObject = isJsonObject(called) ? called : {};
    return {
      index: typeof index === "number" ? index : position,
      id: textOf(id),
      name: textOf(name),
      arguments: typeof text === "string" ? text : text === undefined ? "" : JSON.stringify(text),
    };
  });
}
