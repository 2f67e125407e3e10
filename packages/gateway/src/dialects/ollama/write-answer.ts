/** Writes answers for callers of `/api/chat` and `/api/generate`: whole, or one JSON object a line. */
import { wireAnswer } from "../../contracts/route.ts";
import { errorTable, type Failure } from "../../core/errors.ts";
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
import type { ToolCallPart } from "../chat/chat-request.ts";
import type { AnswerContext, ByteOutput } from "../chat/codec.ts";
import type { JsonObject } from "../chat/json-object.ts";
import { parseArguments } from "../chat/parse-arguments.ts";
import { jsonAnswer } from "../json-answer.ts";

/** Which of the two addresses an answer is for. */
export type OllamaAddress = "chat" | "generate";

/** Head of streamed answers. */
export const ndjsonHeaders: HeaderList = [["content-type", "application/x-ndjson"]];

/** A refusal in Ollama's words. */
export function writeOllamaRefusal(status: number, message: string): WireAnswer {
  return jsonAnswer(status, { error: message });
}

/**
 * A failure in Ollama's words, with the status of the error table. Ollama's own command shows `status` of a 401, and else
 * sends its user to the server's log.
 */
export function writeOllamaFailure({ code, message }: Failure): WireAnswer {
  const { http } = errorTable[code];
  return http === 401
    ? jsonAnswer(http, { error: message, status: message })
    : writeOllamaRefusal(http, message);
}

/** The line that tells of a failure inside a stream. */
export function writeErrorLine({ message }: Failure): Uint8Array {
  return line({ error: message });
}

/** One object as a line. */
export function line(value: JsonObject): Uint8Array {
  return Buffer.from(`${JSON.stringify(value)}\n`);
}

/** A whole answer. */
export function writeOllamaAnswer(
  address: OllamaAddress,
  answer: ChatAnswer & { readonly usage: TokenUsage },
  context: AnswerContext,
): WireAnswer {
  let text = "";
  let thinking = "";
  const calls: JsonObject[] = [];
  for (const part of answer.content) {
    if (part.kind === "text") text += part.text;
    else if (part.kind === "thinking") thinking += part.text;
    else calls.push(writeCall(part, calls.length));
  }
  const said = { text, thinking: thinking === "" ? undefined : thinking, calls };
  const value = {
    ...opening(context),
    ...content(address, said),
    ...ending(answer.finish),
    ...(answer.logprobs === undefined ? {} : { logprobs: answer.logprobs }),
    ...metrics(context, answer.usage, undefined),
  };
  return wireAnswer(200, "application/json", [line(value)]);
}

/** Writes lines. A tool call is one line, once its arguments are complete. */
export class OllamaStreamWriter implements ChatStreamWriter {
  readonly #address: OllamaAddress;
  readonly #out: ByteOutput;
  readonly #context: AnswerContext;
  #call: { readonly start: ToolCallStart; text: string } | undefined;
  /** When the first content came, ms on the context's clock. */
  #firstAt: number | undefined;

  constructor(address: OllamaAddress, out: ByteOutput, context: AnswerContext) {
    this.#address = address;
    this.#out = out;
    this.#context = context;
  }

  start(_start: ChatStart): void {}

  text(delta: string, logprobs: readonly TokenLogprob[] | undefined): void {
    this.#write(content(this.#address, { text: delta }), logprobs === undefined ? {} : { logprobs });
  }

  thinking(delta: string): void {
    this.#write(content(this.#address, { text: "", thinking: delta }));
  }

  /** Ollama has no place for it. */
  thinkingSignature(_signature: string): void {}

  toolCall(start: ToolCallStart): void {
    this.#call = { start, text: "" };
  }

  toolArguments(_index: number, delta: string): void {
    if (this.#call !== undefined) this.#call.text += delta;
  }

  toolCallEnd(_index: number): void {
    const call = this.#call;
    this.#call = undefined;
    if (call === undefined) return;
    const { id, name, index } = call.start;
    const part = writeCall({ kind: "tool_call", id, name, arguments: call.text }, index);
    this.#write(content(this.#address, { text: "", calls: [part] }));
  }

  end(finish: ChatFinish, tokens: TokenUsage): void {
    const context = this.#context;
    const value = {
      ...opening(context),
      ...content(this.#address, { text: "" }),
      ...ending(finish),
      ...metrics(context, tokens, this.#firstAt),
    };
    this.#out.data(line(value));
  }

  fail(reason: Failure): void {
    this.#out.data(writeErrorLine(reason));
  }

  #write(said: JsonObject, more: JsonObject = {}): void {
    this.#firstAt ??= this.#context.clock.now();
    this.#out.data(line({ ...opening(this.#context), ...said, done: false, ...more }));
  }
}

interface Said {
  readonly text: string;
  readonly thinking?: string | undefined;
  readonly calls?: readonly JsonObject[];
}

function opening({ model, clock }: AnswerContext): JsonObject {
  return { model, created_at: new Date(clock.wallNow()).toISOString() };
}

function content(address: OllamaAddress, { text, thinking, calls = [] }: Said): JsonObject {
  const thought = thinking === undefined ? {} : { thinking };
  if (address === "generate") return { response: text, ...thought };
  const called = calls.length === 0 ? {} : { tool_calls: calls };
  return { message: { role: "assistant", content: text, ...thought, ...called } };
}

/** Ollama knows no other reasons: a call of a tool is a stop. */
function ending({ reason }: ChatFinish): JsonObject {
  return { done: true, done_reason: reason === "length" ? "length" : "stop" };
}

/**
 * Durations in nanoseconds as the gateway measured them: the time to the first content stands for the
 * reading of the prompt, waiting included. A whole answer's is all counted as the making of tokens.
 */
function metrics(
  { clock, receivedAt }: AnswerContext,
  { promptTokens, completionTokens }: TokenUsage,
  firstAt: number | undefined,
): JsonObject {
  const now = clock.now();
  const promptMs = (firstAt ?? receivedAt) - receivedAt;
  return {
    total_duration: nanoseconds(now - receivedAt),
    load_duration: 0,
    prompt_eval_count: promptTokens,
    prompt_eval_duration: nanoseconds(promptMs),
    eval_count: completionTokens,
    eval_duration: nanoseconds(now - receivedAt - promptMs),
  };
}

/** A duration of milliseconds in nanoseconds. */
export function nanoseconds(ms: number): number {
  return Math.max(0, Math.round(ms * 1_000_000));
}

/** Arguments that are no JSON object are kept as a text that no tool takes for its own: `{"invalid_json": …}`. */
function writeCall({ id, name, arguments: text }: ToolCallPart, index: number): JsonObject {
  return { id, function: { index, name, arguments: parseArguments(text) ?? { invalid_json: text } } };
}
