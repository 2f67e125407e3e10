/** Objects of `/v1/responses`: the response itself and the items of its output. */
import type { TokenUsage } from "../../core/forward.ts";
import type { ChatFinish, TokenLogprob } from "../chat/chat-answer.ts";
import type { AnswerFormat, AnsweredRequest, OutputPart, ToolChoice } from "../chat/chat-request.ts";
import type { AnswerContext } from "../chat/codec.ts";
import type { JsonObject } from "../chat/json-object.ts";

/** How far an item is. */
export type ItemStatus = "in_progress" | "completed";

/** How a response stands. `finish` and `usage` once it is over. */
export interface ResponseState {
  readonly output: readonly JsonObject[];
  readonly finish?: ChatFinish;
  readonly usage?: TokenUsage;
}

/** The response, with what was asked for repeated as the API has it. Nothing is kept: `store` is false. */
export function responseObject(
  request: AnsweredRequest,
  context: AnswerContext,
  state: ResponseState,
): JsonObject {
  const { finish, usage, output } = state;
  const created = Math.floor(context.clock.wallNow() / 1000);
  const incomplete = finish === undefined ? undefined : incompleteReason(finish);
  const done = incomplete === undefined ? "completed" : "incomplete";
  return {
    id: `resp_${context.requestId}`,
    object: "response",
    created_at: created,
    status: finish === undefined ? "in_progress" : done,
    background: false,
    error: null,
    incomplete_details: incomplete === undefined ? null : { reason: incomplete },
    instructions: null,
    max_output_tokens: request.maxTokens ?? null,
    metadata: {},
    model: context.model,
    output,
    parallel_tool_calls: request.parallelToolCalls ?? true,
    previous_response_id: null,
    reasoning: { effort: request.thinking?.effort ?? null, summary: null },
    store: false,
    temperature: request.sampling.temperature ?? null,
    text: { format: writeFormat(request.format) },
    tool_choice: writeChoice(request.toolChoice),
    tools: request.tools.map(({ name, description, parameters, strict }) => ({
      type: "function",
      name,
      description: description ?? null,
      parameters: parameters ?? null,
      strict: strict ?? null,
    })),
    top_p: request.sampling.topP ?? null,
    truncation: "disabled",
    usage: usage === undefined ? null : writeUsage(usage),
  };
}

/** Why a response is not complete; undefined: it is. */
export function incompleteReason({ reason }: ChatFinish): string | undefined {
  if (reason === "length") return "max_output_tokens";
  return reason === "content_filter" ? "content_filter" : undefined;
}

/** What else an item tells. */
export interface ItemDetails {
  readonly status: ItemStatus;
  readonly logprobs?: readonly TokenLogprob[];
  /** Says which group of tools a call belongs to. */
  readonly request: AnsweredRequest;
}

/** An item of the output. */
export function outputItem(
  part: OutputPart,
  id: string,
  { status, logprobs = [], request }: ItemDetails,
): JsonObject {
  switch (part.kind) {
    case "text": {
      const content = status === "in_progress" ? [] : [textPart(part.text, logprobs)];
      return { id, type: "message", role: "assistant", status, content };
    }
    case "thinking": {
      const content = status === "in_progress" ? [] : [{ type: "reasoning_text", text: part.text }];
      return { id, type: "reasoning", status, summary: [], content };
    }
    case "tool_call":
      return {
        id,
        type: "function_call",
        status,
        call_id: part.id,
        name: part.name,
        ...groupOf(part.name, request),
        arguments: part.arguments,
      };
  }
}

function groupOf(name: string, { tools }: AnsweredRequest): JsonObject {
  const namespace = tools.find((tool) => tool.name === name)?.namespace;
  return namespace === undefined ? {} : { namespace };
}

/** The id of the item at this place of the output. */
export function itemId(kind: OutputPart["kind"], context: AnswerContext, index: number): string {
  const prefix = { text: "msg", thinking: "rs", tool_call: "fc" }[kind];
  return `${prefix}_${context.requestId}_${index}`;
}

/** A text of a message. */
export function textPart(text: string, logprobs: readonly TokenLogprob[]): JsonObject {
  return { type: "output_text", text, annotations: [], logprobs };
}

function writeFormat(format: AnswerFormat | undefined): JsonObject {
  if (format === undefined) return { type: "text" };
  if (format.kind === "json") return { type: "json_object" };
  const { name = "answer", description, schema, strict = null } = format;
  return { type: "json_schema", name, ...(description === undefined ? {} : { description }), schema, strict };
}

function writeChoice(choice: ToolChoice | undefined): string | JsonObject {
  if (choice === undefined) return "auto";
  return choice.kind === "tool" ? { type: "function", name: choice.name } : choice.kind;
}

function writeUsage({ promptTokens, cachedTokens, completionTokens }: TokenUsage): JsonObject {
  return {
    input_tokens: promptTokens,
    input_tokens_details: { cache_write_tokens: 0, cached_tokens: cachedTokens },
    output_tokens: completionTokens,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens: promptTokens + completionTokens,
  };
}
