/** Reads `POST /v1/messages` into the neutral request (https://docs.claude.com/en/api/messages). */
import { isFailure, type Failure } from "../../core/errors.ts";
import {
  defaultSampling,
  type AnswerFormat,
  type ChatFieldNames,
  type ChatRequest,
  type TextPart,
  type ThinkingRequest,
  type ToolChoice,
} from "../chat/chat-request.ts";
import { FieldReader } from "../chat/field-reader.ts";
import type { JsonObject } from "../chat/json-object.ts";
import { readJsonObject } from "../chat/read-json-object.ts";
import { rulesFirst } from "../chat/rules-first.ts";
import { readMessageList } from "./read-blocks.ts";
import { readTools } from "./read-tools.ts";

const fields: ChatFieldNames = {
  temperature: "temperature",
  topP: "top_p",
  topK: "top_k",
  images: "messages: image",
  imageUrls: "messages: image.source.url",
  tools: "tools",
  toolChoice: "tool_choice",
  parallelToolCalls: "tool_choice.disable_parallel_tool_use",
  format: "output_config.format",
  thinking: "thinking",
  maxTokens: "max_tokens",
  stop: "stop_sequences",
};

/**
 * Fields that are read here, and those that change no answer: who asks, where it is billed and cached,
 * how fast it comes, and what Anthropic would take out of a long conversation to make room.
 */
const knownFields = new Set([
  "model",
  "messages",
  "max_tokens",
  "system",
  "stream",
  "temperature",
  "top_p",
  "top_k",
  "stop_sequences",
  "tools",
  "tool_choice",
  "thinking",
  "output_config",
  "output_format",
  "metadata",
  "service_tier",
  "cache_control",
  "inference_geo",
  "betas",
  "speed",
  "user_profile_id",
  "workspace_id",
  "diagnostics",
  "context_management",
]);

/** The neutral request, or a failure that names the field. */
export function readMessages(bytes: Uint8Array): ChatRequest | Failure {
  const parsed = readJsonObject(bytes);
  if (isFailure(parsed)) return parsed;
  const body = parsed.object;
  const read = new FieldReader();
  for (const [name, value] of Object.entries(body)) {
    const asksNothing = value === null || (Array.isArray(value) && value.length === 0);
    if (!knownFields.has(name) && !asksNothing) read.refuse(name);
  }
  const output = read.object(body["output_config"], "output_config") ?? {};
  const choice = read.object(body["tool_choice"], "tool_choice");
  const number = (name: string): number | undefined => read.number(body[name], name);
  const request: ChatRequest = {
    model: read.required(body["model"], "model"),
    messages: readConversation(read, body),
    raw: undefined,
    tools: readTools(read, body),
    toolChoice: readToolChoice(read, choice),
    parallelToolCalls: readParallel(read, choice),
    format: readFormat(read, output["format"] ?? body["output_format"]),
    thinking: readThinking(read, body["thinking"], output["effort"]),
    sampling: {
      ...defaultSampling,
      temperature: number("temperature"),
      topP: number("top_p"),
      topK: number("top_k"),
    },
    maxTokens: readMaxTokens(read, body["max_tokens"]),
    stop: read.strings(body["stop_sequences"], "stop_sequences"),
    stream: read.boolean(body["stream"], "stream") ?? false,
    streamUsage: true,
    topLogprobs: undefined,
    user: read.string(read.object(body["metadata"], "metadata")?.["user_id"], "metadata.user_id"),
    fields,
  };
  return read.failure ?? request;
}

function readMaxTokens(read: FieldReader, value: unknown): number | undefined {
  const tokens = read.number(value, "max_tokens");
  if (tokens === undefined || !Number.isInteger(tokens) || tokens < 1) {
    read.wrong("max_tokens", "a whole number of at least 1");
  }
  return tokens;
}

function readConversation(read: FieldReader, body: JsonObject): ChatRequest["messages"] {
  const messages = readMessageList(read, body["messages"]);
  if (messages.length === 0) read.wrong("messages", "at least one message");
  const system = readSystem(read, body["system"]);
  return rulesFirst(system.length === 0 ? messages : [{ role: "system", content: system }, ...messages]);
}

function readSystem(read: FieldReader, value: unknown): readonly TextPart[] {
  if (typeof value === "string") return value === "" ? [] : [{ kind: "text", text: value }];
  return read.objects(value, "system").map((block, i) => {
    if (block["type"] !== "text") read.refuse(`system[${i}].type`);
    return { kind: "text", text: read.required(block["text"], `system[${i}].text`) };
  });
}

function readToolChoice(read: FieldReader, choice: JsonObject | undefined): ToolChoice | undefined {
  if (choice === undefined) return undefined;
  switch (choice["type"]) {
    case "auto":
    case "none":
      return { kind: choice["type"] };
    case "any":
      return { kind: "required" };
    case "tool":
      return { kind: "tool", name: read.required(choice["name"], "tool_choice.name") };
    default:
      read.wrong("tool_choice.type", "auto, any, tool or none");
      return undefined;
  }
}

function readParallel(read: FieldReader, choice: JsonObject | undefined): boolean | undefined {
  const name = "tool_choice.disable_parallel_tool_use";
  return read.boolean(choice?.["disable_parallel_tool_use"], name) === true ? false : undefined;
}

function readFormat(read: FieldReader, value: unknown): AnswerFormat | undefined {
  const format = read.object(value, "output_config.format");
  if (format === undefined) return undefined;
  if (format["type"] !== "json_schema") read.refuse("output_config.format.type");
  const schema = read.object(format["schema"] ?? false, "output_config.format.schema") ?? {};
  return { kind: "json_schema", name: undefined, description: undefined, schema, strict: true };
}

/**
 * Effort without thinking is a hint about the length of answers and dropped. `adaptive` alone leaves it
 * to the model, as saying nothing does: servers whose models cannot think refuse to be asked.
 */
function readThinking(read: FieldReader, value: unknown, effort: unknown): ThinkingRequest | undefined {
  const thinking = read.object(value, "thinking");
  if (thinking === undefined) return undefined;
  const level = read.string(effort, "output_config.effort");
  const budgetTokens = read.number(thinking["budget_tokens"], "thinking.budget_tokens");
  switch (thinking["type"]) {
    case "adaptive":
      if (level === undefined) return undefined;
      return { enabled: true, effort: level, budgetTokens: undefined, isAdaptive: true };
    case "enabled":
      return { enabled: true, effort: level, budgetTokens };
    case "disabled":
      return { enabled: false, effort: undefined, budgetTokens: undefined };
    default:
      read.refuse("thinking.type", "it is none of enabled, adaptive and disabled");
      return undefined;
  }
}
