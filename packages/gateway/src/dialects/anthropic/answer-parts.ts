/** What Anthropic's answers have in common, whole or event by event. */
import { failure, isFailure, type Failure } from "../../core/errors.ts";
import type { TokenUsage } from "../../core/forward.ts";
import type { ChatFinish, FinishReason } from "../chat/chat-answer.ts";
import { isJsonObject, type JsonObject } from "../chat/json-object.ts";
import { tokenCount } from "../chat/token-count.ts";
import { asBuffer } from "../json/parse-json.ts";
import { errorTextOf } from "./errors.ts";

const reasons: Readonly<Record<string, FinishReason>> = {
  end_turn: "stop",
  stop_sequence: "stop",
  pause_turn: "stop",
  max_tokens: "length",
  model_context_window_exceeded: "length",
  tool_use: "tool_calls",
  refusal: "content_filter",
};

/** The neutral end of an answer: `message` has `stop_reason` and `stop_sequence`. */
export function readFinish(message: JsonObject): ChatFinish {
  const { stop_reason: reason, stop_sequence: sequence } = message;
  return {
    reason: reasons[typeof reason === "string" ? reason : ""] ?? "stop",
    stopSequence: typeof sequence === "string" ? sequence : undefined,
  };
}

/** Anthropic's word for how an answer ended. */
export function writeStopReason({ reason, stopSequence }: ChatFinish): string {
  if (reason === "length") return "max_tokens";
  if (reason === "tool_calls") return "tool_use";
  if (reason === "content_filter") return "refusal";
  return stopSequence === undefined ? "end_turn" : "stop_sequence";
}

/** Tokens as a stream tells them: some at its start, the others at its end, in running sums. */
export class UsageReader {
  #input = 0;
  #cached = 0;
  #written = 0;
  #output = 0;
  #isTold = false;

  /** Takes what a `usage` object tells. */
  read(value: unknown): void {
    if (!isJsonObject(value)) return;
    this.#isTold = true;
    this.#input = count(value["input_tokens"], this.#input);
    this.#cached = count(value["cache_read_input_tokens"], this.#cached);
    this.#written = count(value["cache_creation_input_tokens"], this.#written);
    this.#output = count(value["output_tokens"], this.#output);
  }

  /** Undefined where nothing was told. `input_tokens` leaves out what was read from or written to the cache. */
  get usage(): TokenUsage | undefined {
    if (!this.#isTold) return undefined;
    return {
      promptTokens: this.#input + this.#cached + this.#written,
      cachedTokens: this.#cached,
      completionTokens: this.#output,
      estimated: false,
    };
  }
}

/** Usage as Anthropic writes it. */
export function writeUsage({ promptTokens, cachedTokens, completionTokens }: TokenUsage): JsonObject {
  return {
    input_tokens: Math.max(0, promptTokens - cachedTokens),
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: cachedTokens,
    output_tokens: completionTokens,
  };
}

/** Bytes that are a JSON object. Wrapped, since a server's object may look like a failure. */
export function readObject(bytes: Uint8Array): { readonly object: JsonObject } | Failure {
  try {
    const value: unknown = JSON.parse(asBuffer(bytes).toString("utf8"));
    if (isJsonObject(value)) return { object: value };
  } catch {
    // Told below.
  }
  return failure("bad_upstream_answer", "The server sent what is no answer of Anthropic's API");
}

/** What an `error` event says. */
export function toldFailure(value: JsonObject): Failure {
  return failure("model_failed", errorTextOf(value)?.slice(0, 2_000));
}

/** An error object in a whole answer that began well. */
export function readMessageObject(bytes: Uint8Array): { readonly object: JsonObject } | Failure {
  const value = readObject(bytes);
  if (isFailure(value)) return value;
  return value.object["type"] === "error" ? toldFailure(value.object) : value;
}

function count(value: unknown, before: number): number {
  return tokenCount(value) ?? before;
}
