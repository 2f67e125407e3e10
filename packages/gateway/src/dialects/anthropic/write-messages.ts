/** Writes the neutral request for a server that speaks Anthropic's API. */
import { isFailure, type Failure } from "../../core/errors.ts";
import type { AttemptTarget } from "../../core/forward.ts";
import type { HeaderList } from "../../core/headers.ts";
import { cannotCarry } from "../chat/cannot-carry.ts";
import type {
  ChatField,
  ChatRequest,
  Sampling,
  ThinkingRequest,
  ToolDefinition,
} from "../chat/chat-request.ts";
import type { WrittenRequest } from "../chat/codec.ts";
import type { JsonObject } from "../chat/json-object.ts";
import { writeMessageList } from "./write-blocks.ts";

/** What Anthropic's API wants to be told of its version. */
export const anthropicVersion = "2023-06-01";

/**
 * `max_tokens` where the caller sets none, since Anthropic's API does not go without: what every
 * model of theirs can give.
 */
const defaultMaxTokens = 4096;

/** Thinking counts towards `max_tokens`; a budget has to leave room for the answer, and be of this size. */
const minBudgetTokens = 1024;

const headers: HeaderList = [
  ["content-type", "application/json"],
  ["accept", "application/json"],
  ["anthropic-version", anthropicVersion],
];

/** The request, or a failure that names the caller's field. */
export function writeMessagesRequest(
  request: ChatRequest,
  { model }: AttemptTarget,
): WrittenRequest | Failure {
  const field = uncarried(request);
  if (field !== undefined) return cannotCarry(request, field, "anthropic");
  const conversation = writeMessageList(request);
  if (isFailure(conversation)) return conversation;
  const { sampling, stop, user } = request;
  const body = {
    model,
    max_tokens: maxTokensOf(request),
    ...conversation,
    stream: request.stream,
    temperature: sampling.temperature,
    top_p: sampling.topP,
    top_k: sampling.topK,
    stop_sequences: stop.length === 0 ? undefined : stop,
    tools: request.tools.length === 0 ? undefined : request.tools.map(writeTool),
    tool_choice: writeToolChoice(request),
    thinking: request.thinking === undefined ? undefined : writeThinking(request.thinking),
    output_config: writeOutputConfig(request),
    metadata: user === undefined ? undefined : { user_id: user },
  };
  return { path: "/v1/messages", headers, body: Buffer.from(JSON.stringify(body)) };
}

/** Values that mean the same as saying nothing. */
const neutral: Readonly<Partial<Record<keyof Sampling, number>>> = {
  minP: 0,
  frequencyPenalty: 0,
  presencePenalty: 0,
  repetitionPenalty: 1,
};

const missing = ["minP", "frequencyPenalty", "presencePenalty", "repetitionPenalty", "seed"] as const;

/** The first field that Anthropic's API has no words for. */
function uncarried(request: ChatRequest): ChatField | undefined {
  const { sampling, raw, thinking, maxTokens } = request;
  if (raw !== undefined) return raw.suffix === undefined ? "raw" : "suffix";
  const lacking = missing.find((name) => sampling[name] !== undefined && sampling[name] !== neutral[name]);
  if (lacking !== undefined) return lacking;
  if (sampling.logitBias !== undefined && Object.keys(sampling.logitBias).length > 0) return "logitBias";
  if (sampling.temperature !== undefined && sampling.temperature > 1) return "temperature";
  if (request.format?.kind === "json") return "format";
  if (request.topLogprobs !== undefined) return "topLogprobs";
  const budget = thinking?.enabled === true ? thinking.budgetTokens : undefined;
  return budget !== undefined && maxTokens !== undefined && maxTokens <= budget ? "thinking" : undefined;
}

function maxTokensOf({ maxTokens, thinking }: ChatRequest): number {
  const budget = thinking?.enabled === true ? budgetOf(thinking) : undefined;
  return maxTokens ?? defaultMaxTokens + (budget ?? 0);
}

function budgetOf({ budgetTokens }: ThinkingRequest): number | undefined {
  return budgetTokens === undefined ? undefined : Math.max(minBudgetTokens, budgetTokens);
}

/** Without a budget the model decides how much to think: `adaptive`. */
function writeThinking(thinking: ThinkingRequest): JsonObject {
  if (!thinking.enabled || thinking.effort === "none") return { type: "disabled" };
  const budget = budgetOf(thinking);
  return budget === undefined ? { type: "adaptive" } : { type: "enabled", budget_tokens: budget };
}

function writeOutputConfig({ format, thinking }: ChatRequest): JsonObject | undefined {
  const effort = thinking?.enabled === true && thinking.effort !== "none" ? thinking.effort : undefined;
  if (format === undefined && effort === undefined) return undefined;
  return {
    ...(format?.kind === "json_schema" ? { format: { type: "json_schema", schema: format.schema } } : {}),
    ...(effort === undefined ? {} : { effort: effort === "minimal" ? "low" : effort }),
  };
}

/** A schema has to say that it is of an object, which other APIs take for granted. */
function writeTool({ name, description, parameters, strict }: ToolDefinition): JsonObject {
  const schema = parameters ?? { type: "object", properties: {} };
  return {
    name,
    description,
    input_schema: "type" in schema ? schema : { type: "object", ...schema },
    strict,
  };
}

function writeToolChoice({ toolChoice, parallelToolCalls, tools }: ChatRequest): JsonObject | undefined {
  const once = parallelToolCalls === false ? { disable_parallel_tool_use: true } : {};
  if (tools.length === 0) return undefined;
  switch (toolChoice?.kind) {
    case undefined:
      return parallelToolCalls === false ? { type: "auto", ...once } : undefined;
    case "none":
      return { type: "none" };
    case "auto":
      return { type: "auto", ...once };
    case "required":
      return { type: "any", ...once };
    case "tool":
      return { type: "tool", name: toolChoice.name, ...once };
  }
}
