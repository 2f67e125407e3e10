/** The response object of `/v1/responses` and its output items. */
import type { Answer, AnswerPart } from "../../text/answer.ts";
import { partText } from "../../text/answer.ts";
import type { Fields } from "../fields.ts";
import { fields } from "../fields.ts";
import type { Job } from "../job.ts";

/** An output item in the making: its id, its part of the answer and, of a call, the call's id. */
export interface OutputItem {
  readonly id: string;
  readonly part: AnswerPart;
  readonly callId: string;
  /** Where thinking is told. */
  readonly thinking: "text" | "summary" | "nowhere";
}

/** What a response is made of. */
export interface ResponseParts {
  readonly id: string;
  readonly createdAt: number;
  readonly body: Fields;
  readonly store: boolean;
}

/** The object, its status and output given. */
export function responseObject(
  { id, createdAt, body, store }: ResponseParts,
  state: { status: string; output: readonly unknown[]; usage: unknown; incomplete?: boolean },
): Fields {
  return {
    id,
    object: "response",
    created_at: createdAt,
    status: state.status,
    background: false,
    error: null,
    incomplete_details: state.incomplete ? { reason: "max_output_tokens" } : null,
    instructions: body["instructions"] ?? null,
    max_output_tokens: body["max_output_tokens"] ?? null,
    metadata: body["metadata"] ?? {},
    model: body["model"],
    output: state.output,
    parallel_tool_calls: body["parallel_tool_calls"] ?? true,
    previous_response_id: body["previous_response_id"] ?? null,
    reasoning: {
      effort: fields(body["reasoning"])["effort"] ?? null,
      summary: fields(body["reasoning"])["summary"] ?? null,
    },
    service_tier: "default",
    store,
    temperature: body["temperature"] ?? 1,
    text: body["text"] ?? { format: { type: "text" } },
    tool_choice: body["tool_choice"] ?? "auto",
    tools: body["tools"] ?? [],
    top_p: body["top_p"] ?? 1,
    truncation: body["truncation"] ?? "disabled",
    usage: state.usage,
    user: null,
  };
}

/** An item as it begins or, with its text, as it ends. */
export function itemObject(
  { id, part, callId, thinking }: OutputItem,
  status: "in_progress" | "completed" | "incomplete",
): Fields {
  const text = status === "in_progress" ? "" : partText(part);
  if (part.kind === "tool")
    return { id, type: "function_call", status, call_id: callId, name: part.call?.name, arguments: text };
  if (part.kind === "thinking") return { id, type: "reasoning", ...toldThinking(text, thinking), status };
  return {
    id,
    type: "message",
    role: "assistant",
    status,
    content: status === "in_progress" ? [] : [textPart(text)],
  };
}

function toldThinking(text: string, told: OutputItem["thinking"]): Fields {
  const isEmpty = text === "";
  if (told === "text") return { summary: [], content: isEmpty ? [] : [{ type: "reasoning_text", text }] };
  return { summary: isEmpty || told === "nowhere" ? [] : [{ type: "summary_text", text }] };
}

/** A text part of a message. */
export function textPart(text: string): Fields {
  return { type: "output_text", text, annotations: [], logprobs: [] };
}

/** Token usage in the words of `/v1/responses`. */
export function responseUsage(job: Job, { parts }: Answer): Fields {
  const thought = parts.reduce(
    (sum, part) => sum + (part.kind === "thinking" ? part.end - part.start : 0),
    0,
  );
  return {
    input_tokens: job.promptTokens,
    input_tokens_details: { cached_tokens: job.cachedTokens },
    output_tokens: job.produced,
    output_tokens_details: { reasoning_tokens: thought },
    total_tokens: job.promptTokens + job.produced,
  };
}
