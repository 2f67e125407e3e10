/** Writes neutral messages as Anthropic's: one system prompt, and users and assistants by turns. */
import { isFailure, type Failure } from "../../core/errors.ts";
import { cannotCarry, cannotCarryField } from "../chat/cannot-carry.ts";
import type { AssistantMessage, ChatRequest, ImagePart, InputPart, TextPart } from "../chat/chat-request.ts";
import { imageMediaType } from "../chat/image-type.ts";
import type { JsonObject } from "../chat/json-object.ts";
import { parseArguments } from "../chat/parse-arguments.ts";

interface Turn {
  readonly role: "user" | "assistant";
  readonly content: JsonObject[];
}

/**
 * `messages` and `system`. Rules that stand between messages all go to the front, as Anthropic's API
 * has one place for them. Results of tools and what the user says after them are one turn.
 */
export function writeMessageList(request: ChatRequest): JsonObject | Failure {
  const system: JsonObject[] = [];
  const turns: Turn[] = [];
  for (const message of request.messages) {
    if (message.role === "system") {
      system.push(...message.content.filter(({ text }) => text !== "").map(writeText));
      continue;
    }
    const blocks = message.role === "assistant" ? writeOutput(message) : writeInput(request, message);
    if (isFailure(blocks)) return blocks;
    addTurn(turns, message.role === "assistant" ? "assistant" : "user", blocks);
  }
  return system.length === 0 ? { messages: turns } : { system, messages: turns };
}

function addTurn(turns: Turn[], role: Turn["role"], blocks: readonly JsonObject[]): void {
  const last = turns.at(-1);
  if (last?.role === role) last.content.push(...blocks);
  else if (blocks.length > 0) turns.push({ role, content: [...blocks] });
}

type UserOrTool = Extract<ChatRequest["messages"][number], { role: "user" | "tool" }>;

function writeInput(request: ChatRequest, message: UserOrTool): readonly JsonObject[] | Failure {
  const blocks: JsonObject[] = [];
  for (const part of message.content) {
    const block = writePart(request, part);
    if (block !== undefined && isFailure(block)) return block;
    if (block !== undefined) blocks.push(block);
  }
  if (message.role === "user") return blocks;
  const { callId, isError } = message;
  const failed = isError ? { is_error: true } : {};
  return [{ type: "tool_result", tool_use_id: useId(callId), content: blocks, ...failed }];
}

function writePart(request: ChatRequest, part: InputPart): JsonObject | Failure | undefined {
  if (part.kind === "image") return writeImage(request, part);
  return part.text === "" ? undefined : writeText(part);
}

function writeText({ text }: TextPart): JsonObject {
  return { type: "text", text };
}

function writeImage(request: ChatRequest, { source }: ImagePart): JsonObject | Failure {
  if (source.kind === "url") return { type: "image", source: { type: "url", url: source.url } };
  const mediaType = source.mediaType ?? imageMediaType(source.data);
  if (mediaType === undefined) return cannotCarry(request, "images", "anthropic");
  return { type: "image", source: { type: "base64", media_type: mediaType, data: source.data } };
}

/** Anthropic takes letters, digits, `_` and `-`; other servers' ids have points and colons. */
function useId(callId: string): string {
  return callId.replaceAll(/[^a-zA-Z0-9_-]/g, "_");
}

/** Thinking without Anthropic's signature would be refused and is left out. */
function writeOutput({ content }: AssistantMessage): readonly JsonObject[] | Failure {
  const blocks: JsonObject[] = [];
  for (const part of content) {
    if (part.kind === "text") {
      if (part.text !== "") blocks.push(writeText(part));
    } else if (part.kind === "thinking") {
      const { text, signature } = part;
      if (signature !== undefined) blocks.push({ type: "thinking", thinking: text, signature });
    } else {
      const input = parseArguments(part.arguments);
      if (input === undefined) {
        return cannotCarryField(
          `messages: the call ${part.id} with arguments that are no JSON object`,
          "anthropic",
        );
      }
      blocks.push({ type: "tool_use", id: useId(part.id), name: part.name, input });
    }
  }
  return blocks;
}
