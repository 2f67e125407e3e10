/** Writes chats for servers that speak OpenAI's API: OpenAI's own, vLLM, SGLang, llama.cpp, LM Studio. */
import type { Failure } from "../../core/errors.ts";
import type { AttemptTarget } from "../../core/forward.ts";
import { cannotCarry } from "../chat/cannot-carry.ts";
import type {
  AnswerFormat,
  AssistantMessage,
  ChatMessage,
  ChatRequest,
  ImagePart,
  InputPart,
  TextPart,
  ThinkingRequest,
  ToolChoice,
  ToolDefinition,
} from "../chat/chat-request.ts";
import type { WrittenRequest } from "../chat/codec.ts";
import { imageMediaType } from "../chat/image-type.ts";
import type { JsonObject } from "../chat/json-object.ts";

/** Leaves members that are undefined out of the text. */
type Members = Record<string, unknown>;

/** A chat, or a completion where the caller goes past the model's template. */
export function writeOpenAiChatRequest(
  request: ChatRequest,
  target: AttemptTarget,
): WrittenRequest | Failure {
  if (request.raw !== undefined) return writeCompletion(request, target);
  return written("/v1/chat/completions", request, {
    model: target.model,
    [limitName(target)]: request.maxTokens,
    messages: writeMessages(request.messages),
    ...writeTools(request),
    response_format: writeFormat(request.format),
    reasoning_effort: writeEffort(request.thinking, target),
    logprobs: request.topLogprobs === undefined ? undefined : true,
    top_logprobs: request.topLogprobs,
  });
}

/**
 * OpenAI's own newer models refuse `max_tokens`; every other make that is known takes it, and its later name only in
 * newer versions. Of an unknown one it is guessed by whether it serves responses, which are younger than the name.
 */
function limitName({ make = "other", serves }: AttemptTarget): "max_completion_tokens" | "max_tokens" {
  const isLater = make === "openai" || (make === "other" && serves.includes("responses"));
  return isLater ? "max_completion_tokens" : "max_tokens";
}

function writeCompletion(request: ChatRequest, target: AttemptTarget): WrittenRequest | Failure {
  const { raw, tools, format, thinking } = request;
  if (tools.length > 0) return cannotCarry(request, "tools", "openai");
  if (thinking?.enabled === true) return cannotCarry(request, "thinking", "openai");
  // Completions tell them in a form of their own.
  if (request.topLogprobs !== undefined) return cannotCarry(request, "topLogprobs", "openai");
  return written("/v1/completions", request, {
    model: target.model,
    prompt: raw?.prompt,
    suffix: raw?.suffix,
    response_format: writeFormat(format),
    max_tokens: request.maxTokens,
  });
}

/** `top_k`, `min_p` and `repetition_penalty` are vLLM's names, which SGLang and llama.cpp share; OpenAI refuses them by name. */
function written(path: string, request: ChatRequest, own: Members): WrittenRequest {
  const { sampling, stop, stream } = request;
  const body: Members = {
    ...own,
    temperature: sampling.temperature,
    top_p: sampling.topP,
    top_k: sampling.topK,
    min_p: sampling.minP,
    frequency_penalty: sampling.frequencyPenalty,
    presence_penalty: sampling.presencePenalty,
    repetition_penalty: sampling.repetitionPenalty,
    seed: sampling.seed,
    logit_bias: sampling.logitBias,
    stop: stop.length === 0 ? undefined : stop,
    user: request.user,
    stream: stream ? true : undefined,
    stream_options: stream ? { include_usage: true } : undefined,
  };
  return {
    path,
    headers: [
      ["content-type", "application/json"],
      ["accept", stream ? "text/event-stream" : "application/json"],
    ],
    body: Buffer.from(JSON.stringify(body)),
  };
}

/**
 * Results of tools are texts in this API: their pictures are shown by the user behind the last of the results that stand
 * together, in the message that the user says next where there is one, since some models' templates refuse two in a row.
 */
function writeMessages(messages: readonly ChatMessage[]): Members[] {
  const list: Members[] = [];
  let pictures: readonly ImagePart[] = [];
  for (const message of messages) {
    if (message.role === "tool") {
      pictures = [...pictures, ...message.content.filter(isImage)];
      list.push(writeMessage(message));
      continue;
    }
    const shown = pictures;
    pictures = [];
    if (message.role === "user") {
      list.push({ role: "user", content: writeInput([...shown, ...message.content]) });
      continue;
    }
    if (shown.length > 0) list.push({ role: "user", content: writeInput(shown) });
    list.push(writeMessage(message));
  }
  if (pictures.length > 0) list.push({ role: "user", content: writeInput(pictures) });
  return list;
}

/** A result that is nothing but pictures says where they are. */
const seeBelow = "The result is shown in the user's message that follows.";

function writeResult(content: readonly InputPart[]): string {
  const hasTexts = content.some(isText);
  return !hasTexts && content.some(isImage) ? seeBelow : joinTexts(content.filter(isText));
}

function writeMessage(message: ChatMessage): Members {
  switch (message.role) {
    case "system":
      return { role: "system", content: joinTexts(message.content) };
    case "user":
      return { role: "user", content: writeInput(message.content) };
    case "tool":
      return {
        role: "tool",
        tool_call_id: message.callId,
        content: writeResult(message.content),
      };
    case "assistant":
      return writeAssistant(message);
  }
}

/** Earlier thinking is left out: the API has no place for it. */
function writeAssistant({ content }: AssistantMessage): Members {
  const texts = content.filter((part) => part.kind === "text");
  const calls = content.filter((part) => part.kind === "tool_call");
  return {
    role: "assistant",
    content: texts.length === 0 && calls.length > 0 ? null : joinTexts(texts),
    tool_calls:
      calls.length === 0
        ? undefined
        : calls.map(({ id, name, arguments: text }) => ({
            id,
            type: "function",
            function: { name, arguments: text },
          })),
  };
}

function writeInput(content: readonly InputPart[]): string | Members[] {
  if (!content.some(isImage)) return joinTexts(content.filter(isText));
  return content.map((part) =>
    part.kind === "text"
      ? { type: "text", text: part.text }
      : { type: "image_url", image_url: { url: imageAddress(part) } },
  );
}

/** Pictures travel as addresses; bytes as `data:` of their media type. */
function imageAddress({ source }: ImagePart): string {
  if (source.kind === "url") return source.url;
  const type = source.mediaType ?? imageMediaType(source.data) ?? "image/jpeg";
  return `data:${type};base64,${source.data}`;
}

function isImage(part: InputPart): part is ImagePart {
  return part.kind === "image";
}

function isText(part: InputPart): part is TextPart {
  return part.kind === "text";
}

function joinTexts(parts: readonly TextPart[]): string {
  return parts.map(({ text }) => text).join("\n");
}

function writeTools({ tools, toolChoice, parallelToolCalls }: ChatRequest): Members {
  if (tools.length === 0) return {};
  return {
    tools: tools.map(writeTool),
    tool_choice: writeChoice(toolChoice),
    parallel_tool_calls: parallelToolCalls,
  };
}

function writeTool({ name, description, parameters, strict }: ToolDefinition): Members {
  return { type: "function", function: { name, description, parameters, strict } };
}

function writeChoice(choice: ToolChoice | undefined): string | JsonObject | undefined {
  return choice?.kind === "tool" ? { type: "function", function: { name: choice.name } } : choice?.kind;
}

/** A schema has to have a name here: `answer` where the caller gives none. */
function writeFormat(format: AnswerFormat | undefined): Members | undefined {
  if (format === undefined) return undefined;
  if (format.kind === "json") return { type: "json_object" };
  const { name = "answer", description, schema, strict } = format;
  return { type: "json_schema", json_schema: { name, description, schema, strict } };
}

/**
 * Steps above `high` are words of newer APIs that other servers refuse: there it is `high`.
 * Bounds in tokens become the three steps: low below 4,096, high from 16,384. A mere wish is the middle one, since some servers do not think without.
 */
function writeEffort(thinking: ThinkingRequest | undefined, { make }: AttemptTarget): string | undefined {
  if (thinking === undefined) return undefined;
  if (!thinking.enabled) return "none";
  const most = make === "openai" ? "xhigh" : "high";
  if (thinking.effort === "max" || thinking.effort === "xhigh") return most;
  if (thinking.effort !== undefined) return thinking.effort;
  const { budgetTokens } = thinking;
  if (budgetTokens === undefined) return "medium";
  if (budgetTokens < 4096) return "low";
  return budgetTokens < 16_384 ? "medium" : "high";
}
