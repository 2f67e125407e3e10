/** Reads bodies of `/v1/chat/completions` (https://platform.openai.com/docs/api-reference/chat/create) into the neutral model. */
import { isFailure, type Failure } from "../../core/errors.ts";
import type {
  AnswerFormat,
  AssistantMessage,
  ChatFieldNames,
  ChatMessage,
  ChatRequest,
  ImagePart,
  InputPart,
  OutputPart,
  Sampling,
  TextPart,
  ToolChoice,
  ToolDefinition,
} from "../chat/chat-request.ts";
import { FieldReader } from "../chat/field-reader.ts";
import { isJsonObject, type JsonObject } from "../chat/json-object.ts";
import { readJsonObject } from "../chat/read-json-object.ts";

const fields: ChatFieldNames = {
  temperature: "temperature",
  topP: "top_p",
  topK: "top_k",
  minP: "min_p",
  frequencyPenalty: "frequency_penalty",
  presencePenalty: "presence_penalty",
  repetitionPenalty: "repetition_penalty",
  seed: "seed",
  logitBias: "logit_bias",
  images: "messages.content.image_url",
  imageUrls: "messages.content.image_url",
  tools: "tools",
  toolChoice: "tool_choice",
  parallelToolCalls: "parallel_tool_calls",
  format: "response_format",
  thinking: "reasoning_effort",
  maxTokens: "max_completion_tokens",
  stop: "stop",
  topLogprobs: "logprobs",
};

/** What the neutral model takes up. */
const chatFields: ReadonlySet<string> = new Set([
  "model",
  "messages",
  "temperature",
  "top_p",
  "top_k",
  "min_p",
  "frequency_penalty",
  "presence_penalty",
  "repetition_penalty",
  "seed",
  "logit_bias",
  "max_completion_tokens",
  "max_tokens",
  "stop",
  "stream",
  "stream_options",
  "logprobs",
  "top_logprobs",
  "n",
  "store",
  "modalities",
  "tools",
  "tool_choice",
  "parallel_tool_calls",
  "response_format",
  "reasoning_effort",
  "verbosity",
  "user",
  "safety_identifier",
]);

/** Hints that change no answer: dropped for servers of another dialect. */
const chatHints: ReadonlySet<string> = new Set([
  "metadata",
  "service_tier",
  "prompt_cache_key",
  "prompt_cache_retention",
  "prompt_cache_options",
]);

/** The neutral request; a 400 that names the field for what no other API has. */
export function readOpenAiChat(body: Uint8Array): ChatRequest | Failure {
  const read = readJsonObject(body);
  if (isFailure(read)) return read;
  const { object } = read;
  const reader = new FieldReader();
  refuseOthers(object, reader);
  const request: ChatRequest = {
    model: reader.required(object["model"], "model"),
    messages: reader
      .objects(object["messages"], "messages")
      .map((message, i) => readMessage(message, `messages[${i}]`, reader)),
    raw: undefined,
    tools: readTools(object["tools"], reader),
    toolChoice: readToolChoice(object["tool_choice"], reader),
    parallelToolCalls: reader.boolean(object["parallel_tool_calls"], "parallel_tool_calls"),
    format: readFormat(reader.object(object["response_format"], "response_format"), reader),
    thinking: readEffort(object["reasoning_effort"], "reasoning_effort", reader),
    sampling: readSampling(object, reader),
    maxTokens:
      reader.number(object["max_completion_tokens"], "max_completion_tokens") ??
      reader.number(object["max_tokens"], "max_tokens"),
    stop: reader.strings(object["stop"], "stop"),
    stream: reader.boolean(object["stream"], "stream") ?? false,
    streamUsage: reader.object(object["stream_options"], "stream_options")?.["include_usage"] === true,
    topLogprobs:
      reader.boolean(object["logprobs"], "logprobs") === true
        ? (reader.number(object["top_logprobs"], "top_logprobs") ?? 0)
        : undefined,
    user:
      reader.string(object["safety_identifier"], "safety_identifier") ??
      reader.string(object["user"], "user"),
    fields,
  };
  return reader.failure ?? request;
}

function refuseOthers(object: JsonObject, reader: FieldReader): void {
  for (const [name, value] of Object.entries(object)) {
    const isKnown = chatFields.has(name) || chatHints.has(name);
    if (!isKnown && value !== null && value !== false) reader.refuse(name);
  }
  readVerbosity(object["verbosity"], "verbosity", reader);
  if ((object["n"] ?? 1) !== 1) reader.refuse("n", "other APIs give one answer");
  if (object["store"] === true) reader.refuse("store", "other APIs keep nothing");
  const { modalities } = object;
  if (Array.isArray(modalities) && modalities.some((each) => each !== "text")) reader.refuse("modalities");
}

/** `medium` is what models do that are not told. */
export function readVerbosity(value: unknown, name: string, reader: FieldReader): void {
  if ((value ?? "medium") !== "medium") reader.refuse(name);
}

/** How tokens are chosen, by OpenAI's names and vLLM's. */
export function readSampling(object: JsonObject, reader: FieldReader): Sampling {
  return {
    temperature: reader.number(object["temperature"], "temperature"),
    topP: reader.number(object["top_p"], "top_p"),
    topK: reader.number(object["top_k"], "top_k"),
    minP: reader.number(object["min_p"], "min_p"),
    frequencyPenalty: reader.number(object["frequency_penalty"], "frequency_penalty"),
    presencePenalty: reader.number(object["presence_penalty"], "presence_penalty"),
    repetitionPenalty: reader.number(object["repetition_penalty"], "repetition_penalty"),
    seed: reader.number(object["seed"], "seed"),
    logitBias: reader.object(object["logit_bias"], "logit_bias"),
  };
}

/** `none` turns thinking off. */
export function readEffort(value: unknown, name: string, reader: FieldReader): ChatRequest["thinking"] {
  const effort = reader.string(value, name);
  if (effort === undefined) return undefined;
  const enabled = effort !== "none";
  return { enabled, effort: enabled ? effort : undefined, budgetTokens: undefined };
}

function readMessage(message: JsonObject, name: string, reader: FieldReader): ChatMessage {
  const { role, content } = message;
  switch (role) {
    case "system":
    case "developer":
      return { role: "system", content: readTexts(content, `${name}.content`, reader) };
    case "user":
      return { role, content: readInput(content, `${name}.content`, reader) };
    case "assistant":
      return readAssistant(message, name, reader);
    case "tool":
      return {
        role,
        callId: reader.required(message["tool_call_id"], `${name}.tool_call_id`),
        name: undefined,
        content: readInput(content, `${name}.content`, reader),
        isError: false,
      };
    default:
      reader.wrong(`${name}.role`, "system, developer, user, assistant or tool");
      return { role: "user", content: [] };
  }
}

function readAssistant(message: JsonObject, name: string, reader: FieldReader): AssistantMessage {
  const content: OutputPart[] = [];
  const thinking = message["reasoning_content"] ?? message["reasoning"];
  const thought = reader.string(thinking, `${name}.reasoning_content`);
  if (thought !== undefined) content.push({ kind: "thinking", text: thought, signature: undefined });
  const texts = readTexts(message["content"], `${name}.content`, reader);
  const refusal = reader.string(message["refusal"], `${name}.refusal`) ?? "";
  content.push(...texts);
  if (texts.length === 0 && refusal !== "") content.push({ kind: "text", text: refusal });
  for (const [i, call] of reader.objects(message["tool_calls"], `${name}.tool_calls`).entries()) {
    const at = `${name}.tool_calls[${i}]`;
    const called = reader.object(call["function"], `${at}.function`);
    if (called === undefined) reader.refuse(at, "it is not a call of a function");
    content.push({
      kind: "tool_call",
      id: reader.required(call["id"], `${at}.id`),
      name: reader.required(called?.["name"], `${at}.function.name`),
      arguments: reader.string(called?.["arguments"], `${at}.function.arguments`) ?? "{}",
    });
  }
  for (const other of ["function_call", "audio"]) {
    if ((message[other] ?? undefined) !== undefined) reader.refuse(`${name}.${other}`);
  }
  return { role: "assistant", content };
}

function readTexts(content: unknown, name: string, reader: FieldReader): TextPart[] {
  return readInput(content, name, reader).flatMap((part) => {
    if (part.kind === "text") return part;
    reader.wrong(name, "text");
    return [];
  });
}

function readInput(content: unknown, name: string, reader: FieldReader): InputPart[] {
  if (typeof content === "string") return content === "" ? [] : [{ kind: "text", text: content }];
  return reader.objects(content, name).flatMap((part, i): InputPart[] => {
    const at = `${name}[${i}]`;
    switch (part["type"]) {
      case "text":
        return [{ kind: "text", text: reader.required(part["text"], `${at}.text`) }];
      case "refusal":
        return [{ kind: "text", text: reader.required(part["refusal"], `${at}.refusal`) }];
      case "image_url": {
        const { image_url: image } = part;
        const url = isJsonObject(image) ? image["url"] : image;
        return [readImage(reader.required(url, `${at}.image_url.url`), `${at}.image_url.url`, reader)];
      }
      default:
        reader.refuse(at, `its type is ${String(part["type"])}`);
        return [];
    }
  });
}

/** An address, or the bytes of a `data:` address in base64. */
export function readImage(url: string, name: string, reader: FieldReader): ImagePart {
  const match = /^data:([^;,]*)(?:;[^;,]*)*;base64,/i.exec(url.slice(0, 200));
  if (match === null && /^data:/i.test(url)) reader.refuse(name, "its data are not in base64");
  if (match === null) return { kind: "image", source: { kind: "url", url } };
  const mediaType = match[1] === "" ? undefined : match[1];
  return { kind: "image", source: { kind: "base64", mediaType, data: url.slice(match[0].length) } };
}

function readTools(value: unknown, reader: FieldReader): ToolDefinition[] {
  return reader.objects(value, "tools").flatMap((tool, i) => {
    const name = `tools[${i}]`;
    if (tool["type"] !== "function") {
      reader.refuse(name, `its type is ${String(tool["type"])}`);
      return [];
    }
    return readFunction(
      reader.object(tool["function"], `${name}.function`) ?? {},
      `${name}.function`,
      reader,
    );
  });
}

/** A function as chats and responses describe it. */
export function readFunction(tool: JsonObject, name: string, reader: FieldReader): ToolDefinition {
  return {
    name: reader.required(tool["name"], `${name}.name`),
    description: reader.string(tool["description"], `${name}.description`),
    parameters: reader.object(tool["parameters"], `${name}.parameters`),
    strict: reader.boolean(tool["strict"], `${name}.strict`),
  };
}

/** `{"type":"function"}` names the function inside of `function`, or in responses beside it. */
export function readToolChoice(value: unknown, reader: FieldReader): ToolChoice | undefined {
  if (value === undefined || value === null) return undefined;
  if (value === "auto" || value === "none" || value === "required") return { kind: value };
  const choice = reader.object(value, "tool_choice");
  if (choice === undefined) return undefined;
  if (choice["type"] !== "function") reader.refuse("tool_choice", `its type is ${String(choice["type"])}`);
  const { function: called } = choice;
  const name = isJsonObject(called) ? called["name"] : choice["name"];
  return { kind: "tool", name: reader.required(name, "tool_choice.function.name") };
}

function readFormat(format: JsonObject | undefined, reader: FieldReader): AnswerFormat | undefined {
  if (format === undefined || format["type"] === "text") return undefined;
  if (format["type"] === "json_object") return { kind: "json" };
  if (format["type"] !== "json_schema") {
    reader.refuse("response_format", `its type is ${String(format["type"])}`);
    return undefined;
  }
  const described = reader.object(format["json_schema"], "response_format.json_schema") ?? {};
  return readSchema(described, "response_format.json_schema", reader);
}

/** A schema with its name, as chats and responses give it. */
export function readSchema(described: JsonObject, name: string, reader: FieldReader): AnswerFormat {
  const schema = reader.object(described["schema"], `${name}.schema`);
  if (schema === undefined) reader.wrong(`${name}.schema`, "an object");
  return {
    kind: "json_schema",
    name: reader.string(described["name"], `${name}.name`),
    description: reader.string(described["description"], `${name}.description`),
    schema: schema ?? {},
    strict: reader.boolean(described["strict"], `${name}.strict`),
  };
}
