/** Writes answers for callers of `POST /v1/messages`: whole, or as server-sent events. */
import type { Failure } from "../../core/errors.ts";
import type { TokenUsage } from "../../core/forward.ts";
import type { HeaderList } from "../../core/headers.ts";
import type { WireAnswer } from "../../core/request.ts";
import type {
  ChatAnswer,
  ChatFinish,
  ChatStart,
  ChatStreamWriter,
  TokenLogprob,
  ToolCallStart,
} from "../chat/chat-answer.ts";
import type { OutputPart } from "../chat/chat-request.ts";
import type { AnswerContext, ByteOutput } from "../chat/codec.ts";
import type { JsonObject } from "../chat/json-object.ts";
import { parseArguments } from "../chat/parse-arguments.ts";
import { jsonAnswer } from "../json-answer.ts";
import { writeStopReason, writeUsage } from "./answer-parts.ts";
import { event, writeErrorEvent } from "./errors.ts";

/** Head of streamed answers. */
export const eventStreamHeaders: HeaderList = [
  ["content-type", "text/event-stream; charset=utf-8"],
  ["cache-control", "no-cache"],
];

/** A whole answer. */
export function writeMessagesAnswer(
  { id, content, finish, usage }: ChatAnswer & { readonly usage: TokenUsage },
  context: AnswerContext,
): WireAnswer {
  return jsonAnswer(200, {
    ...message(messageId(id, context), context),
    content: content.map(writePart),
    ...ending(finish),
    usage: writeUsage(usage),
  });
}

function message(id: string, { model }: AnswerContext): JsonObject {
  return { id, type: "message", role: "assistant", model };
}

/** Anthropic's ids begin with `msg_`; those of other servers are kept behind it. */
function messageId(id: string | undefined, { requestId }: AnswerContext): string {
  const known = id ?? requestId;
  return known.startsWith("msg_") ? known : `msg_${known}`;
}

function ending(finish: ChatFinish): JsonObject {
  return { stop_reason: writeStopReason(finish), stop_sequence: finish.stopSequence ?? null };
}

/** Arguments that are no JSON object are kept as a text that no tool takes for its own: `{"invalid_json": …}`. */
function writePart(part: OutputPart): JsonObject {
  switch (part.kind) {
    case "text":
      return { type: "text", text: part.text, citations: null };
    case "thinking":
      return { type: "thinking", thinking: part.text, signature: part.signature ?? "" };
    case "tool_call": {
      const input = parseArguments(part.arguments) ?? { invalid_json: part.arguments };
      return { type: "tool_use", id: part.id, name: part.name, input };
    }
  }
}

type BlockKind = "text" | "thinking" | "tool";

/** Writes events. Texts, thinking and calls are blocks that follow each other. */
export class MessagesStreamWriter implements ChatStreamWriter {
  readonly #out: ByteOutput;
  readonly #context: AnswerContext;
  #open: BlockKind | undefined;
  #index = -1;

  constructor(out: ByteOutput, context: AnswerContext) {
    this.#out = out;
    this.#context = context;
  }

  /** The tokens of the prompt are told again, and right, at the end. */
  start({ id, promptTokens }: ChatStart): void {
    const context = this.#context;
    const usage = writeUsage({
      promptTokens: promptTokens ?? context.estimate.promptTokens,
      cachedTokens: 0,
      completionTokens: 0,
      estimated: true,
    });
    const opening = message(messageId(id, context), context);
    const none = { content: [], stop_reason: null, stop_sequence: null };
    this.#write("message_start", { message: { ...opening, ...none, usage } });
  }

  text(delta: string, _logprobs: readonly TokenLogprob[] | undefined): void {
    this.#block("text", { type: "text", text: "" });
    this.#delta({ type: "text_delta", text: delta });
  }

  thinking(delta: string): void {
    this.#block("thinking", { type: "thinking", thinking: "", signature: "" });
    this.#delta({ type: "thinking_delta", thinking: delta });
  }

  thinkingSignature(signature: string): void {
    this.#block("thinking", { type: "thinking", thinking: "", signature: "" });
    this.#delta({ type: "signature_delta", signature });
  }

  toolCall({ id, name }: ToolCallStart): void {
    this.#close();
    this.#block("tool", { type: "tool_use", id, name, input: {} });
  }

  toolArguments(_index: number, delta: string): void {
    this.#delta({ type: "input_json_delta", partial_json: delta });
  }

  toolCallEnd(_index: number): void {
    this.#close();
  }

  end(finish: ChatFinish, tokens: TokenUsage): void {
    this.#close();
    this.#write("message_delta", { delta: ending(finish), usage: writeUsage(tokens) });
    this.#write("message_stop", {});
  }

  fail(reason: Failure): void {
    this.#out.data(writeErrorEvent(reason));
  }

  /** Opens a block of that kind unless one is open. */
  #block(kind: BlockKind, block: JsonObject): void {
    if (this.#open === kind) return;
    this.#close();
    this.#open = kind;
    this.#index++;
    this.#write("content_block_start", { index: this.#index, content_block: block });
  }

  #delta(delta: JsonObject): void {
    this.#write("content_block_delta", { index: this.#index, delta });
  }

  #close(): void {
    if (this.#open === undefined) return;
    this.#open = undefined;
    this.#write("content_block_stop", { index: this.#index });
  }

  #write(type: string, value: JsonObject): void {
    this.#out.data(event(type, { type, ...value }));
  }
}
