/** Reads Ollama's `options` and the fields that chat and generate share. */
import {
  defaultSampling,
  type AnswerFormat,
  type ChatFieldNames,
  type ChatRequest,
} from "../chat/chat-request.ts";
import type { FieldReader } from "../chat/field-reader.ts";
import { isJsonObject, type JsonObject } from "../chat/json-object.ts";

/** Names of fields for failures. */
const ollamaFields: ChatFieldNames = {
  temperature: "options.temperature",
  topP: "options.top_p",
  topK: "options.top_k",
  minP: "options.min_p",
  frequencyPenalty: "options.frequency_penalty",
  presencePenalty: "options.presence_penalty",
  repetitionPenalty: "options.repeat_penalty",
  seed: "options.seed",
  maxTokens: "options.num_predict",
  stop: "options.stop",
  images: "images",
  raw: "raw",
  suffix: "suffix",
  tools: "tools",
  format: "format",
  thinking: "think",
  topLogprobs: "logprobs",
};

/**
 * Options that change how tokens are chosen and that no other API has, with the value that means
 * "off". `num_ctx`, `num_gpu`, `num_thread` and the like only say how the server uses its memory and
 * are dropped, and so is what Ollama itself does not know.
 */
const ownOptions: readonly (readonly [name: string, off: unknown])[] = [
  ["repeat_last_n", 64],
  ["typical_p", 1],
  ["tfs_z", 1],
  ["mirostat", 0],
  ["penalize_newline", true],
];

/** What chat and generate have in common, as parts of the neutral request. */
export type SharedParts = Pick<
  ChatRequest,
  | "model"
  | "format"
  | "thinking"
  | "sampling"
  | "maxTokens"
  | "stop"
  | "stream"
  | "streamUsage"
  | "topLogprobs"
  | "user"
  | "parallelToolCalls"
  | "toolChoice"
  | "fields"
>;

/** Reads them. `keep_alive`, `truncate` and `shift` speak to the server's memory and are dropped. */
export function readShared(read: FieldReader, body: JsonObject): SharedParts {
  const options = read.object(body["options"], "options") ?? {};
  for (const [name, off] of ownOptions) {
    const value = options[name];
    if (value !== undefined && value !== null && value !== off) read.refuse(`options.${name}`);
  }
  if (body["_debug_render_only"] === true) read.refuse("_debug_render_only");
  return {
    model: read.required(body["model"], "model"),
    format: readFormat(read, body["format"]),
    thinking: readThink(read, body["think"]),
    sampling: readSampling(read, options),
    maxTokens: readNumPredict(read, options),
    stop: read.strings(options["stop"], "options.stop"),
    stream: read.boolean(body["stream"], "stream") ?? true,
    streamUsage: true,
    topLogprobs: readLogprobs(read, body),
    user: undefined,
    parallelToolCalls: undefined,
    toolChoice: undefined,
    fields: ollamaFields,
  };
}

function readSampling(read: FieldReader, options: JsonObject): ChatRequest["sampling"] {
  const number = (name: string): number | undefined => read.number(options[name], `options.${name}`);
  return {
    ...defaultSampling,
    temperature: number("temperature"),
    topP: number("top_p"),
    topK: number("top_k"),
    minP: number("min_p"),
    frequencyPenalty: number("frequency_penalty"),
    presencePenalty: number("presence_penalty"),
    repetitionPenalty: number("repeat_penalty"),
    seed: number("seed"),
  };
}

/** 0 and −1 are no limit and −2 is the rest of the context: what other servers do without a limit. */
function readNumPredict(read: FieldReader, options: JsonObject): number | undefined {
  const limit = read.number(options["num_predict"], "options.num_predict");
  return limit === undefined || limit <= 0 ? undefined : limit;
}

function readFormat(read: FieldReader, format: unknown): AnswerFormat | undefined {
  if (format === undefined || format === null || format === "") return undefined;
  if (format === "json") return { kind: "json" };
  if (isJsonObject(format)) {
    return {
      kind: "json_schema",
      name: undefined,
      description: undefined,
      schema: format,
      strict: undefined,
    };
  }
  read.wrong("format", '"json" or a JSON Schema');
  return undefined;
}

function readThink(read: FieldReader, think: unknown): ChatRequest["thinking"] {
  if (typeof think === "string" && think !== "") {
    return { enabled: true, effort: think, budgetTokens: undefined };
  }
  const enabled = think === "" ? undefined : read.boolean(think, "think");
  return enabled === undefined ? undefined : { enabled, effort: undefined, budgetTokens: undefined };
}

function readLogprobs(read: FieldReader, body: JsonObject): number | undefined {
  const wanted = read.boolean(body["logprobs"], "logprobs") ?? false;
  const alternatives = read.number(body["top_logprobs"], "top_logprobs") ?? 0;
  return wanted ? alternatives : undefined;
}
