/** Writes the neutral request for an Ollama server: `/api/chat`, or `/api/generate` for a raw prompt. */
import { isFailure, type Failure } from "../../core/errors.ts";
import type { AttemptTarget } from "../../core/forward.ts";
import type { HeaderList } from "../../core/headers.ts";
import { cannotCarry, cannotCarryField } from "../chat/cannot-carry.ts";
import type {
  AnswerFormat,
  AssistantMessage,
  ChatField,
  ChatMessage,
  ChatRequest,
  InputPart,
  ThinkingRequest,
  ToolCallPart,
  ToolDefinition,
} from "../chat/chat-request.ts";
import type { WrittenRequest } from "../chat/codec.ts";
import type { JsonObject } from "../chat/json-object.ts";
import { parseArguments } from "../chat/parse-arguments.ts";

/** Headers of every request with a JSON body. */
export const ollamaHeaders: HeaderList = [
  ["content-type", "application/json"],
  ["accept", "application/json, application/x-ndjson"],
];

/** The request, or a failure that names the caller's field. */
export function writeOllamaChatRequest(
  request: ChatRequest,
  { model }: AttemptTarget,
): WrittenRequest | Failure {
  const field = uncarried(request);
  if (field !== undefined) return cannotCarry(request, field, "ollama");
  const { raw } = request;
  const content = raw === undefined ? writeConversation(request) : rawPrompt(raw);
  if (isFailure(content)) return content;
  const body = {
    model,
    ...content,
    stream: request.stream,
    ...(request.format === undefined ? {} : { format: writeFormat(request.format) }),
    ...writeThinking(request.thinking),
    ...(request.topLogprobs === undefined ? {} : { logprobs: true, top_logprobs: request.topLogprobs }),
    options: writeOptions(request),
  };
  const path = raw === undefined ? "/api/chat" : "/api/generate";
  return { path, headers: ollamaHeaders, body: Buffer.from(JSON.stringify(body)) };
}

/** Ollama fetches no pictures, forces no tool, forbids no second call and knows no bias by token. */
function uncarried(request: ChatRequest): ChatField | undefined {
  const { toolChoice, sampling } = request;
  if (sampling.logitBias !== undefined && Object.keys(sampling.logitBias).length > 0) return "logitBias";
  if (toolChoice?.kind === "required" || toolChoice?.kind === "tool") return "toolChoice";
  if (request.parallelToolCalls === false && request.tools.length > 0) return "parallelToolCalls";
  const pictures = request.messages.flatMap((message) => [...message.content]);
  return pictures.some((part) => part.kind === "image" && part.source.kind === "url")
    ? "imageUrls"
    : undefined;
}

function rawPrompt({ prompt, suffix }: NonNullable<ChatRequest["raw"]>): JsonObject {
  return suffix === undefined ? { prompt, raw: true } : { prompt, suffix };
}

function writeConversation(request: ChatRequest): JsonObject | Failure {
  const names = new Map<string, string>();
  const messages: JsonObject[] = [];
  for (const message of request.messages) {
    const written = writeMessage(message, names);
    if (isFailure(written)) return written;
    messages.push(written);
  }
  const hasTools = request.tools.length > 0 && request.toolChoice?.kind !== "none";
  return hasTools ? { messages, tools: request.tools.map(writeTool) } : { messages };
}

/** `names` collects the calls' names by id: a result says the name of its tool. */
function writeMessage(message: ChatMessage, names: Map<string, string>): JsonObject | Failure {
  switch (message.role) {
    case "system":
    case "user":
      return { role: message.role, ...writeInput(message.content) };
    case "assistant":
      return writeAssistant(message, names);
    case "tool": {
      const name = message.name ?? names.get(message.callId);
      return {
        role: "tool",
        ...writeInput(message.content),
        ...(name === undefined ? {} : { tool_name: name }),
        tool_call_id: message.callId,
      };
    }
  }
}

/** Texts become one text, as Ollama has no parts. */
function writeInput(content: readonly InputPart[]): JsonObject {
  const texts: string[] = [];
  const images: string[] = [];
  for (const part of content) {
    if (part.kind === "text") texts.push(part.text);
    else if (part.source.kind === "base64") images.push(part.source.data);
  }
  return { content: texts.join("\n\n"), ...(images.length === 0 ? {} : { images }) };
}

function writeAssistant({ content }: AssistantMessage, names: Map<string, string>): JsonObject | Failure {
  let text = "";
  let thinking = "";
  const calls: JsonObject[] = [];
  for (const part of content) {
    if (part.kind === "text") text += part.text;
    else if (part.kind === "thinking") thinking += part.text;
    else {
      const call = writeCall(part, calls.length);
      if (isFailure(call)) return call;
      names.set(part.id, part.name);
      calls.push(call);
    }
  }
  return {
    role: "assistant",
    content: text,
    ...(thinking === "" ? {} : { thinking }),
    ...(calls.length === 0 ? {} : { tool_calls: calls }),
  };
}

/** Ollama wants the arguments as an object. */
function writeCall({ id, name, arguments: text }: ToolCallPart, index: number): JsonObject | Failure {
  const parsed = parseArguments(text);
  if (parsed === undefined)
    return cannotCarryField(`messages: the call ${id} with arguments that are no JSON object`, "ollama");
  return { id, function: { index, name, arguments: parsed } };
}

function writeTool({ name, description, parameters }: ToolDefinition): JsonObject {
  return {
    type: "function",
    function: {
      name,
      ...(description === undefined ? {} : { description }),
      parameters: parameters ?? { type: "object", properties: {} },
    },
  };
}

function writeFormat(format: AnswerFormat): unknown {
  return format.kind === "json" ? "json" : format.schema;
}

/** Words besides Ollama's own would be refused: the nearest is taken. A budget has no place and is left out. */
const thinkLevels: Readonly<Record<string, string>> = { minimal: "low", xhigh: "high", max: "high" };

/** Models that can think do so unasked; the others' are refused (400) where `think` stands. */
function writeThinking(thinking: ThinkingRequest | undefined): JsonObject {
  return thinking === undefined || thinking.isAdaptive === true ? {} : { think: writeThink(thinking) };
}

function writeThink({ enabled, effort }: ThinkingRequest): boolean | string {
  if (!enabled || effort === "none") return false;
  return effort === undefined ? true : (thinkLevels[effort] ?? effort);
}

function writeOptions({ sampling, maxTokens, stop }: ChatRequest): JsonObject {
  // `undefined` members are not written.
  return {
    temperature: sampling.temperature,
    top_p: sampling.topP,
    top_k: sampling.topK,
    min_p: sampling.minP,
    frequency_penalty: sampling.frequencyPenalty,
    presence_penalty: sampling.presencePenalty,
    repeat_penalty: sampling.repetitionPenalty,
    seed: sampling.seed,
    num_predict: maxTokens,
    stop: stop.length === 0 ? undefined : stop,
  };
}
