/** What Ollama's answers have in common, whole or line by line: reads them into neutral parts. */
import { failure, isFailure, type Failure } from "../../core/errors.ts";
import type { TokenUsage } from "../../core/forward.ts";
import type { ChatFinish, TokenLogprob } from "../chat/chat-answer.ts";
import { isJsonObject, type JsonObject } from "../chat/json-object.ts";
import { tokenCount } from "../chat/token-count.ts";
import { asBuffer } from "../json/parse-json.ts";

/** A call of a tool, as Ollama tells it: always whole. */
export interface OllamaCall {
  readonly id: string | undefined;
  readonly name: string;
  /** A JSON object as text. */
  readonly arguments: string;
}

/** One answer, or one line of one. */
export interface OllamaPiece {
  readonly text: string;
  readonly thinking: string;
  readonly calls: readonly OllamaCall[];
  readonly logprobs: readonly TokenLogprob[] | undefined;
  readonly isDone: boolean;
  /** Undefined before the last line. */
  readonly doneReason: string | undefined;
  /** Undefined where the server does not tell. */
  readonly usage: TokenUsage | undefined;
}

/** Reads a line or an answer; a failure for what is none and for an error the server tells. */
export function readPiece(bytes: Uint8Array): OllamaPiece | Failure {
  const value = readObject(bytes);
  if (isFailure(value)) return value;
  const { object } = value;
  const told = object["error"];
  if (typeof told === "string") return toldFailure(told);
  const message = isJsonObject(object["message"]) ? object["message"] : undefined;
  const isDone = object["done"] === true;
  if (message === undefined && typeof object["response"] !== "string" && !isDone) return unreadable();
  return {
    text: text(message === undefined ? object["response"] : message["content"]),
    thinking: text((message ?? object)["thinking"]),
    calls: readCalls((message ?? object)["tool_calls"]),
    logprobs: readLogprobs(object["logprobs"]),
    isDone,
    doneReason: typeof object["done_reason"] === "string" ? object["done_reason"] : undefined,
    usage: isDone ? readUsage(object) : undefined,
  };
}

/** Bytes that are a JSON object. Wrapped, since a server's object may look like a failure. */
export function readObject(bytes: Uint8Array): { readonly object: JsonObject } | Failure {
  try {
    const value: unknown = JSON.parse(asBuffer(bytes).toString("utf8"));
    return isJsonObject(value) ? { object: value } : unreadable();
  } catch {
    return unreadable();
  }
}

/** What the server says of an error inside an answer that began well. */
export function toldFailure(text: string): Failure {
  return failure("model_failed", text.slice(0, 2_000));
}

/** An answer that is not Ollama's. */
export function unreadable(): Failure {
  return failure("bad_upstream_answer", "The server sent what is no answer of Ollama's API");
}

/** The neutral reason of an end. A load and an unload end in order. */
export function readFinish(doneReason: string | undefined, hasCalls: boolean): ChatFinish {
  const reason = doneReason === "length" ? "length" : hasCalls ? "tool_calls" : "stop";
  return { reason, stopSequence: undefined };
}

/** The text of an answer that is an error; undefined for other bodies. */
export function readErrorText(body: Uint8Array): string | undefined {
  const value = readObject(body);
  if (isFailure(value)) return undefined;
  const { error } = value.object;
  return typeof error === "string" ? error : undefined;
}

/** Ollama does not tell what it had in its cache. A server that counts nothing tells no usage. */
function readUsage(object: JsonObject): TokenUsage | undefined {
  const prompt = tokenCount(object["prompt_eval_count"]);
  const completion = tokenCount(object["eval_count"]);
  if (prompt === undefined && completion === undefined) return undefined;
  return {
    promptTokens: prompt ?? 0,
    cachedTokens: 0,
    completionTokens: completion ?? 0,
    estimated: false,
  };
}

function readCalls(value: unknown): readonly OllamaCall[] {
  if (!Array.isArray(value)) return [];
  return value.flatMap((each: unknown) => {
    const definition = isJsonObject(each) ? each["function"] : undefined;
    if (!isJsonObject(each) || !isJsonObject(definition)) return [];
    const given = definition["arguments"];
    const id = text(each["id"]);
    return {
      id: id === "" ? undefined : id,
      name: text(definition["name"]),
      arguments: typeof given === "string" ? given : JSON.stringify(given ?? {}),
    };
  });
}

function readLogprobs(value: unknown): readonly TokenLogprob[] | undefined {
  if (!Array.isArray(value) || value.length === 0) return undefined;
  return value.filter(isJsonObject).map((entry) => {
    const alternatives: unknown = entry["top_logprobs"];
    return {
      ...readToken(entry),
      top_logprobs: Array.isArray(alternatives) ? alternatives.filter(isJsonObject).map(readToken) : [],
    };
  });
}

function readToken(entry: JsonObject): Omit<TokenLogprob, "top_logprobs"> {
  const bytes = entry["bytes"];
  return {
    token: text(entry["token"]),
    logprob: typeof entry["logprob"] === "number" ? entry["logprob"] : 0,
    bytes: Array.isArray(bytes) ? bytes.filter((byte) => typeof byte === "number") : null,
  };
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}
