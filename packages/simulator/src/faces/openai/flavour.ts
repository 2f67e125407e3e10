/** How servers that speak OpenAI's API differ. */
import type { OutgoingHttpHeaders } from "node:http";
import type { Model } from "../../model-spec.ts";
import type { ErrorAnswer, Exchange } from "../../server/exchange.ts";
import type { FaceName, World } from "../face.ts";

/** A model and the adapter of it that a name means. */
export interface NamedModel {
  readonly model: Model;
  readonly adapter?: string;
}

/** What one server does its own way. */
export interface OpenAiFlavour {
  readonly name: FaceName;
  readonly world: World;
  /** Fields of every chat chunk and answer between `model` and `choices`. */
  readonly extras: Readonly<Record<string, unknown>>;
  /** Whether a chunk goes out before the first content, with the role alone. */
  readonly roleChunk: boolean;
  /** Whether every delta says the role. */
  readonly roleEverywhere: boolean;
  /** Whether a tool call is one chunk. */
  readonly wholeToolCalls: boolean;
  /** Whether the head of a stream waits for the first token. */
  readonly lateHead: boolean;
  /** Whether choices say vLLM's `stop_reason`. */
  readonly stopReason: boolean;
  /** Names of the field that carries thinking; none: it is not shown. */
  readonly thinkingFields: readonly string[];
  /** Where `/v1/responses` carries thinking; `asked`: in a summary where the caller wants one. */
  readonly responseThinking: "text" | "summary" | "asked";
  /** Whether the server obeys `logprobs`, `n` and `tool_choice`. */
  readonly full: boolean;
  /** `owned_by` of models. */
  readonly owner: string;
  /** Said when the queue is full. */
  readonly overloaded: ErrorAnswer;
  /** Headers of every answer. */
  headers(exchange: Exchange): OutgoingHttpHeaders;
  /** Finds a model by the name in a request. */
  find(name: string): NamedModel | undefined;
  /** Said when there is none. */
  missing(name: string): ErrorAnswer;
  /** A fresh id. */
  id(prefix: string): string;
}

/** `length` hex digits of the world's randomness. */
export function hexId(world: World, length: number): string {
  let id = "";
  while (id.length < length)
    id += Math.floor(world.random.unit() * 2 ** 32)
      .toString(16)
      .padStart(8, "0");
  return id.slice(0, length);
}

/** Finds a model by its exact name, or by an adapter's. */
export function findExactly(world: World, name: string): NamedModel | undefined {
  const model = world.models.get(name);
  if (model !== undefined) return { model };
  for (const each of world.models.values())
    if (each.adapters.includes(name)) return { model: each, adapter: name };
  return undefined;
}

/** Seconds since the Unix epoch, whole. */
export function createdAt(world: World): number {
  return Math.floor(world.clock.wallNow() / 1000);
}

/** Token usage in OpenAI's words. */
export function usageOf({ prompt, cached, completion, reasoning }: UsageCounts): Record<string, unknown> {
  return {
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
    ...(cached !== undefined && { prompt_tokens_details: { cached_tokens: cached } }),
    ...(reasoning !== undefined && { completion_tokens_details: { reasoning_tokens: reasoning } }),
  };
}

/** Counts that usage is made of; `cached` and `reasoning` only where the server tells them. */
export interface UsageCounts {
  readonly prompt: number;
  readonly completion: number;
  readonly cached?: number | undefined;
  readonly reasoning?: number | undefined;
}
