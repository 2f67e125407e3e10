/** Writes answers for callers of `/v1/chat/completions`: whole, or event by event. */
import type { Failure } from "../../core/errors.ts";
import type { TokenUsage } from "../../core/forward.ts";
import type { WireAnswer } from "../../core/request.ts";
import type {
  ChatAnswer,
  ChatFinish,
  ChatStart,
  ChatStreamWriter,
  TokenLogprob,
  ToolCallStart,
} from "../chat/chat-answer.ts";
import type { AnsweredRequest, ToolCallPart } from "../chat/chat-request.ts";
import type { AnswerContext, ByteOutput } from "../chat/codec.ts";
import type { JsonObject } from "../chat/json-object.ts";
import { jsonAnswer } from "../json-answer.ts";
import { writeOpenAiErrorEvent } from "./openai-errors.ts";

/** A whole answer. */
export function writeOpenAiAnswer(
  answer: ChatAnswer & { readonly usage: TokenUsage },
  _request: AnsweredRequest,
  context: AnswerContext,
): WireAnswer {
  const { content, finish, logprobs, usage } = answer;
  const calls = content.filter((part) => part.kind === "tool_call");
  const text = content.flatMap((part) => (part.kind === "text" ? part.text : [])).join("");
  const thinking = content.flatMap((part) => (part.kind === "thinking" ? part.text : [])).join("");
  const message = {
    role: "assistant",
    content: text === "" && calls.length > 0 ? null : text,
    refusal: null,
    ...(thinking === "" ? {} : { reasoning_content: thinking }),
    ...(calls.length === 0 ? {} : { tool_calls: calls.map(writeCall) }),
  };
  return jsonAnswer(200, {
    ...envelope(context),
    object: "chat.completion",
    choices: [
      {
        index: 0,
        message,
        logprobs: logprobs === undefined ? null : { content: logprobs },
        finish_reason: finish.reason,
      },
    ],
    usage: writeUsage(usage),
  });
}

/** Writes events. */
export class OpenAiStreamWriter implements ChatStreamWriter {
  readonly #out: ByteOutput;
  readonly #tellsUsage: boolean;
  /** What every event begins with, up to its choices. */
  readonly #opening: string;

  constructor(out: ByteOutput, request: AnsweredRequest, context: AnswerContext) {
    this.#out = out;
    this.#tellsUsage = request.streamUsage;
    const opening = JSON.stringify({ ...envelope(context), object: "chat.completion.chunk" });
    this.#opening = `data: ${opening.slice(0, -1)},"choices":[`;
  }

  start(_start: ChatStart): void {
    this.#delta({ role: "assistant", content: "" });
  }

  text(delta: string, logprobs: readonly TokenLogprob[] | undefined): void {
    this.#delta({ content: delta }, logprobs);
  }

  thinking(delta: string): void {
    this.#delta({ reasoning_content: delta });
  }

  /** The API has no place for it. */
  thinkingSignature(_signature: string): void {}

  toolCall({ index, id, name }: ToolCallStart): void {
    this.#delta({ tool_calls: [{ index, id, type: "function", function: { name, arguments: "" } }] });
  }

  toolArguments(index: number, delta: string): void {
    this.#delta({ tool_calls: [{ index, function: { arguments: delta } }] });
  }

  toolCallEnd(_index: number): void {}

  end(finish: ChatFinish, tokens: TokenUsage): void {
    this.#delta({}, undefined, finish);
    const usage = this.#tellsUsage
      ? `${this.#opening}],"usage":${JSON.stringify(writeUsage(tokens))}}\n\n`
      : "";
    this.#write(`${usage}data: [DONE]\n\n`);
  }

  fail(reason: Failure): void {
    this.#out.data(writeOpenAiErrorEvent(reason));
  }

  #delta(delta: JsonObject, logprobs?: readonly TokenLogprob[], finish?: ChatFinish): void {
    const told = logprobs === undefined ? "null" : JSON.stringify({ content: logprobs });
    const reason = finish === undefined ? "null" : `"${finish.reason}"`;
    this.#write(
      `${this.#opening}{"index":0,"delta":${JSON.stringify(delta)},"logprobs":${told},"finish_reason":${reason}}]}\n\n`,
    );
  }

  #write(text: string): void {
    this.#out.data(Buffer.from(text));
  }
}

function envelope({ requestId, clock, model }: AnswerContext): JsonObject {
  return { id: `chatcmpl-${requestId}`, created: Math.floor(clock.wallNow() / 1000), model };
}

function writeCall({ id, name, arguments: text }: ToolCallPart): JsonObject {
  return { id, type: "function", function: { name, arguments: text } };
}

function writeUsage({ promptTokens, cachedTokens, completionTokens }: TokenUsage): JsonObject {
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
    prompt_tokens_details: { cached_tokens: cachedTokens },
  };
}
