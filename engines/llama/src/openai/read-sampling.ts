/** The fields that chats and completions of OpenAI have in common. */
import type { Fields } from "../fields.ts";
import { readKeepAlive } from "../models/keep-alive.ts";
import type { Sampling } from "../port.ts";

/** Most texts that end an answer. */
const maxStops = 32;

/**
 * Sampling as asked. What is not said: temperature 0.8, top_p 0.9, top_k 40, no penalties, as Ollama has it.
 * `top_k`, `min_p` and `repetition_penalty` are vLLM's additions to OpenAI's fields.
 */
export function readSampling(fields: Fields): Sampling {
  return {
    temperature: fields.number("temperature", { min: 0, max: 2 }) ?? 0.8,
    topP: fields.number("top_p", { min: 0, max: 1 }) ?? 0.9,
    topK: Math.max(0, fields.number("top_k", { min: -1, max: 1e9, integer: true }) ?? 40),
    minP: fields.number("min_p", { min: 0, max: 1 }) ?? 0,
    seed: fields.number("seed", {
      min: Number.MIN_SAFE_INTEGER,
      max: Number.MAX_SAFE_INTEGER,
      integer: true,
    }),
    frequencyPenalty: fields.number("frequency_penalty", { min: -2, max: 2 }) ?? 0,
    presencePenalty: fields.number("presence_penalty", { min: -2, max: 2 }) ?? 0,
    repeatPenalty: fields.number("repetition_penalty", { min: 0.01, max: 10 }) ?? 1,
  };
}

/** Texts that end the answer; empty ones count for nothing. */
export function readStops(fields: Fields): string[] {
  const stops = (fields.texts("stop") ?? []).filter((text) => text !== "");
  if (stops.length > maxStops) throw fields.wrong("stop", `more than ${maxStops} texts`);
  return stops;
}

/** `max_completion_tokens`, `max_tokens`; undefined: no bound of its own. */
export function readMaxTokens(fields: Fields): number | undefined {
  const bounds = { min: 1, max: Number.MAX_SAFE_INTEGER, integer: true };
  return fields.number("max_completion_tokens", bounds) ?? fields.number("max_tokens", bounds);
}

/** Whether and how to stream. */
export function readStreaming(fields: Fields): { readonly stream: boolean; readonly includeUsage: boolean } {
  const includeUsage = fields.object("stream_options")?.flag("include_usage") ?? false;
  return { stream: fields.flag("stream"), includeUsage };
}

/** The model's name and how long it stays, which OpenAI does not know. */
export function readTarget(fields: Fields): {
  readonly model: string;
  readonly keepAliveMs: number | undefined;
} {
  return { model: fields.requiredText("model"), keepAliveMs: readKeepAlive(fields.raw("keep_alive")) };
}
