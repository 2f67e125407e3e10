/** Reads `POST /api/generate` into the neutral request (https://docs.ollama.com/api/generate). */
import { isFailure, type Failure } from "../../core/errors.ts";
import type { ChatMessage, ChatRequest } from "../chat/chat-request.ts";
import { FieldReader } from "../chat/field-reader.ts";
import type { JsonObject } from "../chat/json-object.ts";
import { readJsonObject } from "../chat/read-json-object.ts";
import { readImages, textParts } from "./read-chat.ts";
import { readShared } from "./read-options.ts";

/** The neutral request, or a failure that names the field. */
export function readOllamaGenerate(bytes: Uint8Array): ChatRequest | Failure {
  const body = readJsonObject(bytes);
  if (isFailure(body)) return body;
  const read = new FieldReader();
  const shared = readShared(read, body.object);
  refuseOwn(read, body.object);
  const prompt = read.string(body.object["prompt"], "prompt") ?? "";
  if (prompt === "") {
    read.wrong("prompt", "a text; this model's server loads nothing on demand");
  }
  const suffix = read.string(body.object["suffix"], "suffix") || undefined;
  const isRaw = read.boolean(body.object["raw"], "raw") === true || suffix !== undefined;
  const request: ChatRequest = {
    ...shared,
    messages: isRaw ? [] : readMessages(read, body.object, prompt),
    raw: isRaw ? { prompt, suffix } : undefined,
    tools: [],
  };
  if (isRaw) refuseWithRaw(read, body.object);
  return read.failure ?? request;
}

function readMessages(read: FieldReader, body: JsonObject, prompt: string): readonly ChatMessage[] {
  const system = textParts(read.string(body["system"], "system"));
  const images = readImages(read, body["images"], "images");
  const user: ChatMessage = { role: "user", content: [...textParts(prompt), ...images] };
  return system.length === 0 ? [user] : [{ role: "system", content: system }, user];
}

/** What only Ollama has: templates, tokens of an earlier answer, pictures to be made. */
function refuseOwn(read: FieldReader, body: JsonObject): void {
  if (typeof body["template"] === "string" && body["template"] !== "") read.refuse("template");
  if (read.array(body["context"], "context").length > 0) {
    read.refuse("context", "it holds tokens of an Ollama server; send the conversation to /api/chat");
  }
  for (const name of ["width", "height", "steps"]) {
    if ((read.number(body[name], name) ?? 0) !== 0) read.refuse(name);
  }
}

function refuseWithRaw(read: FieldReader, body: JsonObject): void {
  if (read.strings(body["images"], "images").length > 0) read.refuse("images", "a raw prompt has none");
  if ((read.string(body["system"], "system") ?? "") !== "") read.refuse("system", "a raw prompt has none");
}
