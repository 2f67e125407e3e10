/** Reads `POST /api/chat` into the neutral request (https://docs.ollama.com/api/chat). */
import { isFailure, type Failure } from "../../core/errors.ts";
import type {
  AssistantMessage,
  ChatMessage,
  ChatRequest,
  ImagePart,
  OutputPart,
  TextPart,
  ToolCallPart,
  ToolDefinition,
} from "../chat/chat-request.ts";
import { FieldReader } from "../chat/field-reader.ts";
import { imageMediaType } from "../chat/image-type.ts";
import type { JsonObject } from "../chat/json-object.ts";
import { readJsonObject } from "../chat/read-json-object.ts";
import { readShared } from "./read-options.ts";

/** The neutral request, or a failure that names the field. */
export function readOllamaChat(bytes: Uint8Array): ChatRequest | Failure {
  const body = readJsonObject(bytes);
  if (isFailure(body)) return body;
  const read = new FieldReader();
  const request: ChatRequest = {
    ...readShared(read, body.object),
    messages: new MessageReader(read).read(body.object["messages"]),
    raw: undefined,
    tools: readTools(read, body.object["tools"]),
  };
  if (request.messages.length === 0 && read.failure === undefined) {
    read.wrong("messages", "at least one message; this model's server loads nothing on demand");
  }
  return read.failure ?? request;
}

/** Pictures in base64, which Ollama takes without their type. */
export function readImages(read: FieldReader, value: unknown, name: string): readonly ImagePart[] {
  return read.strings(value, name).map((data) => ({
    kind: "image",
    source: { kind: "base64", mediaType: imageMediaType(data), data },
  }));
}

/** A text as parts: none for an empty one. */
export function textParts(text: string | undefined): readonly TextPart[] {
  return text === undefined || text === "" ? [] : [{ kind: "text", text }];
}

function readTools(read: FieldReader, value: unknown): readonly ToolDefinition[] {
  return read.objects(value, "tools").map((tool, i) => {
    const at = `tools[${i}].function`;
    const definition = read.object(tool["function"] ?? false, at) ?? {};
    return {
      name: read.required(definition["name"], `${at}.name`),
      description: read.string(definition["description"], `${at}.description`),
      parameters: read.object(definition["parameters"], `${at}.parameters`),
      strict: undefined,
    };
  });
}

/** Reads messages in order and gives ids to calls that have none, so that results find their call. */
class MessageReader {
  readonly #read: FieldReader;
  /** Calls that have no result yet, oldest first. */
  #open: ToolCallPart[] = [];
  #calls = 0;

  constructor(read: FieldReader) {
    this.#read = read;
  }

  read(value: unknown): readonly ChatMessage[] {
    return this.#read.objects(value, "messages").flatMap((message, i) => {
      return this.#message(message, `messages[${i}]`) ?? [];
    });
  }

  #message(message: JsonObject, at: string): ChatMessage | undefined {
    const read = this.#read;
    const content = textParts(read.string(message["content"], `${at}.content`));
    switch (read.required(message["role"], `${at}.role`).toLowerCase()) {
      case "system":
        return { role: "system", content };
      case "user":
        return {
          role: "user",
          content: [...content, ...readImages(read, message["images"], `${at}.images`)],
        };
      case "assistant":
        return this.#assistant(message, content, at);
      case "tool":
        return this.#result(message, content, at);
      default:
        read.wrong(`${at}.role`, "system, user, assistant or tool");
        return undefined;
    }
  }

  #assistant(message: JsonObject, content: readonly TextPart[], at: string): AssistantMessage {
    const read = this.#read;
    const thinking = read.string(message["thinking"], `${at}.thinking`) ?? "";
    const thought: readonly OutputPart[] =
      thinking === "" ? [] : [{ kind: "thinking", text: thinking, signature: undefined }];
    const calls = read
      .objects(message["tool_calls"], `${at}.tool_calls`)
      .map((call, i) => this.#call(call, `${at}.tool_calls[${i}]`));
    this.#open.push(...calls);
    return { role: "assistant", content: [...thought, ...content, ...calls] };
  }

  #call(call: JsonObject, at: string): ToolCallPart {
    const read = this.#read;
    const made = `call_${this.#calls++}`;
    const definition = read.object(call["function"] ?? false, `${at}.function`) ?? {};
    return {
      kind: "tool_call",
      id: read.string(call["id"], `${at}.id`) || made,
      name: read.required(definition["name"], `${at}.function.name`),
      arguments: JSON.stringify(read.object(definition["arguments"], `${at}.function.arguments`) ?? {}),
    };
  }

  #result(message: JsonObject, content: readonly TextPart[], at: string): ChatMessage {
    const read = this.#read;
    const id = read.string(message["tool_call_id"], `${at}.tool_call_id`) || undefined;
    const name = read.string(message["tool_name"], `${at}.tool_name`) || undefined;
    const call = this.#take(id, name);
    return {
      role: "tool",
      callId: id ?? call?.id ?? `call_${this.#calls++}`,
      name: name ?? call?.name,
      content: [...content, ...readImages(read, message["images"], `${at}.images`)],
      isError: false,
    };
  }

  /** The call that a result belongs to: by its id, else the oldest open one of that name, else the oldest. */
  #take(id: string | undefined, name: string | undefined): ToolCallPart | undefined {
    const open = this.#open;
    const found =
      id === undefined
        ? (open.find((call) => call.name === name) ?? (name === undefined ? open[0] : undefined))
        : open.find((call) => call.id === id);
    this.#open = open.filter((call) => call !== found);
    return found;
  }
}
