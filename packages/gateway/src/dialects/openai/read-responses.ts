/**
 * Reads bodies of `/v1/responses` (https://platform.openai.com/docs/api-reference/responses/create)
 * into the neutral model: the stateless part. What asks for state on the server is refused by name.
 */
import { isFailure, type Failure } from "../../core/errors.ts";
import type {
  AnswerFormat,
  ChatFieldNames,
  ChatMessage,
  ChatRequest,
  InputPart,
  OutputPart,
  TextPart,
  ToolDefinition,
} from "../chat/chat-request.ts";
import { FieldReader } from "../chat/field-reader.ts";
import { isJsonObject, type JsonObject } from "../chat/json-object.ts";
import { readJsonObject } from "../chat/read-json-object.ts";
import { rulesFirst } from "../chat/rules-first.ts";
import {
  readEffort,
  readFunction,
  readImage,
  readSampling,
  readSchema,
  readToolChoice,
  readVerbosity,
} from "./read-chat.ts";

const fields: ChatFieldNames = {
  temperature: "temperature",
  topP: "top_p",
  images: "input.content.image_url",
  imageUrls: "input.content.image_url",
  tools: "tools",
  toolChoice: "tool_choice",
  parallelToolCalls: "parallel_tool_calls",
  format: "text.format",
  thinking: "reasoning",
  maxTokens: "max_output_tokens",
  topLogprobs: "top_logprobs",
};

/** What the neutral model takes up, or what asks for nothing when it is unset. */
const responsesFields: ReadonlySet<string> = new Set([
  "model",
  "input",
  "instructions",
  "temperature",
  "top_p",
  "max_output_tokens",
  "stream",
  "store",
  "tools",
  "tool_choice",
  "parallel_tool_calls",
  "text",
  "reasoning",
  "top_logprobs",
  "truncation",
  "user",
  "safety_identifier",
]);

/** Hints that change no answer: dropped where the call is translated. */
const responsesHints: ReadonlySet<string> = new Set([
  "include",
  "metadata",
  "client_metadata",
  "service_tier",
  "stream_options",
  "prompt_cache_key",
  "prompt_cache_retention",
  "prompt_cache_options",
]);

/** The neutral request; a 400 that names the field for state on the server and what no other API has. */
export function readResponses(body: Uint8Array): ChatRequest | Failure {
  const read = readJsonObject(body);
  if (isFailure(read)) return read;
  const { object } = read;
  const reader = new FieldReader();
  refuseOthers(object, reader);
  const reasoning = reader.object(object["reasoning"], "reasoning");
  const text = reader.object(object["text"], "text");
  const request: ChatRequest = {
    model: reader.required(object["model"], "model"),
    messages: rulesFirst([...readInstructions(object, reader), ...readInput(object["input"], reader)]),
    raw: undefined,
    tools: readTools(object["tools"], reader),
    toolChoice: readToolChoice(object["tool_choice"], reader),
    parallelToolCalls: reader.boolean(object["parallel_tool_calls"], "parallel_tool_calls"),
    format: readFormat(reader.object(text?.["format"], "text.format"), reader),
    thinking: readEffort(reasoning?.["effort"], "reasoning.effort", reader),
    sampling: readSampling(object, reader),
    maxTokens: reader.number(object["max_output_tokens"], "max_output_tokens"),
    stop: [],
    stream: reader.boolean(object["stream"], "stream") ?? false,
    streamUsage: true,
    topLogprobs: readTopLogprobs(object, reader),
    user:
      reader.string(object["safety_identifier"], "safety_identifier") ??
      reader.string(object["user"], "user"),
    fields,
  };
  return reader.failure ?? request;
}

/** Log probabilities are asked for by number, or as part of what to `include`. */
function readTopLogprobs(object: JsonObject, reader: FieldReader): number | undefined {
  const isIncluded = reader.array(object["include"], "include").includes("message.output_text.logprobs");
  return reader.number(object["top_logprobs"], "top_logprobs") ?? (isIncluded ? 0 : undefined);
}

const stateless = "answers are not kept for this model";

function refuseOthers(object: JsonObject, reader: FieldReader): void {
  if (object["store"] === true) reader.refuse("store", stateless);
  for (const name of ["background", "previous_response_id", "conversation"]) {
    if (isSet(object[name])) reader.refuse(name, stateless);
  }
  for (const [name, value] of Object.entries(object)) {
    if (!responsesFields.has(name) && !responsesHints.has(name) && isSet(value)) reader.refuse(name);
  }
  const { text } = object;
  if (isJsonObject(text)) readVerbosity(text["verbosity"], "text.verbosity", reader);
  if (object["truncation"] === "auto") reader.refuse("truncation");
}

function isSet(value: unknown): boolean {
  return value !== undefined && value !== null && value !== false;
}

function readInstructions(object: JsonObject, reader: FieldReader): ChatMessage[] {
  const text = reader.string(object["instructions"], "instructions");
  return text === undefined ? [] : [{ role: "system", content: [{ kind: "text", text }] }];
}

/** A text alone is what the user says. Reasoning and calls are parts of the assistant's message that follows or goes before. */
function readInput(input: unknown, reader: FieldReader): ChatMessage[] {
  if (typeof input === "string") return [{ role: "user", content: [{ kind: "text", text: input }] }];
  const messages: ChatMessage[] = [];
  for (const [i, item] of reader.objects(input, "input").entries()) {
    const name = `input[${i}]`;
    const said = readOutputItem(item, name, reader);
    if (said === undefined) {
      const message = readItem(item, name, reader);
      if (message !== undefined) messages.push(message);
      continue;
    }
    const last = messages.at(-1);
    if (last?.role === "assistant")
      messages[messages.length - 1] = { ...last, content: [...last.content, ...said] };
    else messages.push({ role: "assistant", content: said });
  }
  return messages;
}

/** Parts of what the model said; undefined for an item of another kind. */
function readOutputItem(
  item: JsonObject,
  name: string,
  reader: FieldReader,
): readonly OutputPart[] | undefined {
  const { type, role } = item;
  if (type === "function_call") {
    const id = reader.required(item["call_id"], `${name}.call_id`);
    const called = reader.required(item["name"], `${name}.name`);
    const text = reader.string(item["arguments"], `${name}.arguments`) ?? "{}";
    return [{ kind: "tool_call", id, name: called, arguments: text }];
  }
  if (type === "reasoning") return readReasoning(item, name, reader);
  if (role !== "assistant") return undefined;
  return readParts(item["content"], `${name}.content`, reader).filter(
    (part): part is TextPart => part.kind === "text",
  );
}

function readReasoning(item: JsonObject, name: string, reader: FieldReader): readonly OutputPart[] {
  const pieces = [
    ...reader.objects(item["content"], `${name}.content`),
    ...reader.objects(item["summary"], `${name}.summary`),
  ];
  const text = pieces.map((piece) => reader.string(piece["text"], `${name}.text`) ?? "").join("");
  return text === "" ? [] : [{ kind: "thinking", text, signature: undefined }];
}

function readItem(item: JsonObject, name: string, reader: FieldReader): ChatMessage | undefined {
  const { type = "message", role } = item;
  if (type === "function_call_output") {
    const callId = reader.required(item["call_id"], `${name}.call_id`);
    const content = readParts(item["output"], `${name}.output`, reader);
    return { role: "tool", callId, name: undefined, content, isError: false };
  }
  if (type !== "message") {
    reader.refuse(name, `its type is ${String(type)}`);
    return undefined;
  }
  const content = readParts(item["content"], `${name}.content`, reader);
  if (role === "user") return { role, content };
  if (role !== "system" && role !== "developer")
    reader.wrong(`${name}.role`, "system, developer, user or assistant");
  return { role: "system", content: content.filter((part): part is TextPart => part.kind === "text") };
}

function readParts(content: unknown, name: string, reader: FieldReader): InputPart[] {
  if (typeof content === "string") return content === "" ? [] : [{ kind: "text", text: content }];
  return reader.objects(content, name).flatMap((part, i): InputPart[] => {
    const at = `${name}[${i}]`;
    switch (part["type"]) {
      case "input_text":
      case "output_text":
        return [{ kind: "text", text: reader.required(part["text"], `${at}.text`) }];
      case "refusal":
        return [{ kind: "text", text: reader.required(part["refusal"], `${at}.refusal`) }];
      case "input_image":
        if (isSet(part["file_id"])) reader.refuse(`${at}.file_id`, "files are not kept for this model");
        return [readImage(reader.required(part["image_url"], `${at}.image_url`), `${at}.image_url`, reader)];
      default:
        reader.refuse(at, `its type is ${String(part["type"])}`);
        return [];
    }
  });
}

function readTools(value: unknown, reader: FieldReader): ToolDefinition[] {
  const tools = reader.objects(value, "tools").flatMap((tool, i) => readTool(tool, `tools[${i}]`, reader));
  const names = new Set(tools.map((tool) => tool.name));
  const hasGroups = tools.some((tool) => tool.namespace !== undefined);
  if (hasGroups && names.size < tools.length) reader.refuse("tools", "two have the same name");
  return tools;
}

/** Functions of a group stand beside the others: no other API has groups. */
function readTool(tool: JsonObject, name: string, reader: FieldReader): ToolDefinition[] {
  if (tool["type"] === "function") return [readFunction(tool, name, reader)];
  if (tool["type"] !== "namespace") {
    reader.refuse(name, `its type is ${String(tool["type"])}`);
    return [];
  }
  const namespace = reader.required(tool["name"], `${name}.name`);
  return reader.objects(tool["tools"], `${name}.tools`).flatMap((each, i) => {
    const at = `${name}.tools[${i}]`;
    if (each["type"] === "function") return { ...readFunction(each, at, reader), namespace };
    reader.refuse(at, `its type is ${String(each["type"])}`);
    return [];
  });
}

function readFormat(format: JsonObject | undefined, reader: FieldReader): AnswerFormat | undefined {
  if (format === undefined || format["type"] === "text") return undefined;
  if (format["type"] === "json_object") return { kind: "json" };
  if (format["type"] === "json_schema") return readSchema(format, "text.format", reader);
  reader.refuse("text.format", `its type is ${String(format["type"])}`);
  return undefined;
}
