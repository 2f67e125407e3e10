/** Reads Anthropic's messages, whose content is one text or blocks of several types. */
import type {
  AssistantMessage,
  ChatMessage,
  ImagePart,
  InputPart,
  OutputPart,
  ToolMessage,
} from "../chat/chat-request.ts";
import type { FieldReader } from "../chat/field-reader.ts";
import type { JsonObject } from "../chat/json-object.ts";

/** Messages in order. Results of tools become messages of their own. */
export function readMessageList(read: FieldReader, value: unknown): readonly ChatMessage[] {
  return read.objects(value, "messages").flatMap((message, i) => {
    const at = `messages[${i}]`;
    switch (message["role"]) {
      case "user":
        return readUser(read, message["content"], at);
      case "assistant":
        return readAssistant(read, message["content"], at);
      case "system":
        return readSystem(read, message["content"], at);
      default:
        read.wrong(`${at}.role`, "user, assistant or system");
        return [];
    }
  });
}

/** Rules that hold from here on. */
function readSystem(read: FieldReader, content: unknown, at: string): readonly ChatMessage[] {
  const texts = blocksOf(read, content, at).flatMap((block, i) => {
    const place = `${at}.content[${i}]`;
    if (block["type"] !== "text") read.refuse(`${place}.type`);
    return textPart(read, block, place);
  });
  return texts.length === 0 ? [] : [{ role: "system", content: texts }];
}

/** One text counts as one block. */
function blocksOf(read: FieldReader, content: unknown, at: string): readonly JsonObject[] {
  return typeof content === "string"
    ? [{ type: "text", text: content }]
    : read.objects(content ?? false, `${at}.content`);
}

function readUser(read: FieldReader, content: unknown, at: string): readonly ChatMessage[] {
  const messages: ChatMessage[] = [];
  let parts: InputPart[] = [];
  const close = (): void => {
    if (parts.length > 0) messages.push({ role: "user", content: parts });
    parts = [];
  };
  for (const [i, block] of blocksOf(read, content, at).entries()) {
    const place = `${at}.content[${i}]`;
    if (block["type"] === "tool_result") {
      close();
      messages.push(readResult(read, block, place));
    } else parts.push(...readInput(read, block, place));
  }
  close();
  return messages;
}

function readInput(read: FieldReader, block: JsonObject, at: string): readonly InputPart[] {
  switch (block["type"]) {
    case "text":
      return textPart(read, block, at);
    case "image":
      return readImage(read, block, at);
    case "document": {
      const shown = readDocument(read, block, at);
      if (shown === undefined) read.refuse(`${at}.source.type`, "only documents of text are carried");
      return shown ?? [];
    }
    default:
      read.refuse(`${at}.type`);
      return [];
  }
}

function textPart(
  read: FieldReader,
  block: JsonObject,
  at: string,
): readonly [{ kind: "text"; text: string }] | [] {
  const text = read.required(block["text"], `${at}.text`);
  return text === "" ? [] : [{ kind: "text", text }];
}

function readImage(read: FieldReader, block: JsonObject, at: string): readonly ImagePart[] {
  const source = read.object(block["source"] ?? false, `${at}.source`) ?? {};
  if (source["type"] === "url") {
    return [
      { kind: "image", source: { kind: "url", url: read.required(source["url"], `${at}.source.url`) } },
    ];
  }
  if (source["type"] !== "base64") {
    read.refuse(`${at}.source.type`);
    return [];
  }
  const mediaType = read.string(source["media_type"], `${at}.source.media_type`);
  const data = read.required(source["data"], `${at}.source.data`);
  return [{ kind: "image", source: { kind: "base64", mediaType, data } }];
}

function readResult(read: FieldReader, block: JsonObject, at: string): ToolMessage {
  const { content } = block;
  const blocks = content === undefined || content === null ? [] : blocksOf(read, content, at);
  return {
    role: "tool",
    callId: read.required(block["tool_use_id"], `${at}.tool_use_id`),
    name: undefined,
    content: blocks.flatMap((each, i) => readResultBlock(read, each, `${at}.content[${i}]`)),
    isError: read.boolean(block["is_error"], `${at}.is_error`) ?? false,
  };
}

/**
 * What a tool gives is no choice of the caller's, and stays in the conversation: a refusal would end an agent's session. The
 * model is told what it is not shown.
 */
function readResultBlock(read: FieldReader, block: JsonObject, at: string): readonly InputPart[] {
  if (block["type"] === "tool_reference") {
    const name = read.required(block["tool_name"], `${at}.tool_name`);
    return [{ kind: "text", text: `The tool ${name} can be called now.` }];
  }
  if (block["type"] !== "document") return readInput(read, block, at);
  const shown = readDocument(read, block, at);
  return shown ?? [{ kind: "text", text: "A document was left out: this model cannot read its type." }];
}

/** The texts of a document; undefined for one of another kind, such as a PDF. */
function readDocument(read: FieldReader, block: JsonObject, at: string): readonly InputPart[] | undefined {
  const source = read.object(block["source"] ?? false, `${at}.source`) ?? {};
  if (source["type"] === "text") return textPart(read, { text: source["data"] }, `${at}.source`);
  if (source["type"] !== "content") return undefined;
  const { content } = source;
  if (typeof content === "string") return textPart(read, { text: content }, `${at}.source`);
  return read
    .objects(content, `${at}.source.content`)
    .flatMap((each, i) => readInput(read, each, `${at}.source.content[${i}]`));
}

function readAssistant(read: FieldReader, content: unknown, at: string): readonly [AssistantMessage] {
  const parts = blocksOf(read, content, at).flatMap((block, i) => {
    return readOutput(read, block, `${at}.content[${i}]`);
  });
  return [{ role: "assistant", content: parts }];
}

/** Thinking that is encrypted speaks to Anthropic alone and is dropped. */
function readOutput(read: FieldReader, block: JsonObject, at: string): readonly OutputPart[] {
  switch (block["type"]) {
    case "text":
      return textPart(read, block, at);
    case "thinking": {
      const text = read.required(block["thinking"], `${at}.thinking`);
      const signature = read.string(block["signature"], `${at}.signature`) || undefined;
      return [{ kind: "thinking", text, signature }];
    }
    case "redacted_thinking":
      return [];
    case "tool_use":
      return [
        {
          kind: "tool_call",
          id: read.required(block["id"], `${at}.id`),
          name: read.required(block["name"], `${at}.name`),
          arguments: JSON.stringify(read.object(block["input"], `${at}.input`) ?? {}),
        },
      ];
    default:
      read.refuse(`${at}.type`);
      return [];
  }
}
