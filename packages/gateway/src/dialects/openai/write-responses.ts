/** Writes answers for callers of `/v1/responses`: whole, or event by event. */
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
import type { AnsweredRequest, OutputPart } from "../chat/chat-request.ts";
import type { AnswerContext, ByteOutput } from "../chat/codec.ts";
import type { JsonObject } from "../chat/json-object.ts";
import { jsonAnswer } from "../json-answer.ts";
import { responsesEvent, writeResponsesErrorEvent } from "./responses-events.ts";
import {
  incompleteReason,
  itemId,
  outputItem,
  responseObject,
  textPart,
  type ResponseState,
} from "./responses-parts.ts";

/** A whole answer. */
export function writeResponsesAnswer(
  answer: ChatAnswer & { readonly usage: TokenUsage },
  request: AnsweredRequest,
  context: AnswerContext,
): WireAnswer {
  const { finish, usage, logprobs } = answer;
  const output = answer.content.map((part, index) =>
    outputItem(part, itemId(part.kind, context, index), {
      status: "completed",
      request,
      ...(logprobs === undefined ? {} : { logprobs }),
    }),
  );
  return jsonAnswer(200, responseObject(request, context, { output, finish, usage }));
}

/** The item of the output that is being written. */
interface OpenItem {
  readonly id: string;
  readonly index: number;
  /** What there is of it. */
  part: OutputPart;
  readonly logprobs: TokenLogprob[];
}

/** Writes events. Texts, reasoning and calls that change over are items of their own. */
export class ResponsesStreamWriter implements ChatStreamWriter {
  readonly #out: ByteOutput;
  readonly #request: AnsweredRequest;
  readonly #context: AnswerContext;
  readonly #output: JsonObject[] = [];
  #item: OpenItem | undefined;
  #sequence = 0;

  constructor(out: ByteOutput, request: AnsweredRequest, context: AnswerContext) {
    this.#out = out;
    this.#request = request;
    this.#context = context;
  }

  start(_start: ChatStart): void {
    this.#tellResponse("response.created", { output: [] });
    this.#tellResponse("response.in_progress", { output: [] });
  }

  text(delta: string, logprobs: readonly TokenLogprob[] = []): void {
    const item = this.#itemOf({ kind: "text", text: "" });
    if (item.part.kind !== "text") return;
    item.part = { kind: "text", text: item.part.text + delta };
    item.logprobs.push(...logprobs);
    this.#tell("response.output_text.delta", { ...place(item), content_index: 0, delta, logprobs });
  }

  thinking(delta: string): void {
    const item = this.#itemOf({ kind: "thinking", text: "", signature: undefined });
    if (item.part.kind !== "thinking") return;
    item.part = { ...item.part, text: item.part.text + delta };
    this.#tell("response.reasoning_text.delta", { ...place(item), content_index: 0, delta });
  }

  /** The API has no place for it. */
  thinkingSignature(_signature: string): void {}

  toolCall({ id, name }: ToolCallStart): void {
    this.#close();
    this.#open({ kind: "tool_call", id, name, arguments: "" });
  }

  toolArguments(_index: number, delta: string): void {
    const item = this.#item;
    if (item?.part.kind !== "tool_call") return;
    item.part = { ...item.part, arguments: item.part.arguments + delta };
    this.#tell("response.function_call_arguments.delta", { ...place(item), delta });
  }

  toolCallEnd(_index: number): void {
    this.#close();
  }

  end(finish: ChatFinish, usage: TokenUsage): void {
    this.#close();
    const type = incompleteReason(finish) === undefined ? "response.completed" : "response.incomplete";
    this.#tellResponse(type, { output: this.#output, finish, usage });
  }

  fail(reason: Failure): void {
    this.#out.data(writeResponsesErrorEvent(reason, this.#sequence++));
  }

  /** The open item where it is of this kind, else a new one. */
  #itemOf(part: OutputPart): OpenItem {
    const item = this.#item;
    if (item?.part.kind === part.kind) return item;
    this.#close();
    return this.#open(part);
  }

  #open(part: OutputPart): OpenItem {
    const index = this.#output.length;
    const item = { id: itemId(part.kind, this.#context, index), index, part, logprobs: [] };
    this.#item = item;
    const shown = outputItem(part, item.id, { status: "in_progress", request: this.#request });
    this.#tell("response.output_item.added", { output_index: index, item: shown });
    if (part.kind === "text")
      this.#tell("response.content_part.added", { ...place(item), content_index: 0, part: textPart("", []) });
    return item;
  }

  #close(): void {
    const item = this.#item;
    if (item === undefined) return;
    this.#item = undefined;
    this.#tellDone(item);
    const { part, id, index, logprobs } = item;
    const done = outputItem(part, id, { status: "completed", logprobs, request: this.#request });
    this.#output.push(done);
    this.#tell("response.output_item.done", { output_index: index, item: done });
  }

  #tellDone(item: OpenItem): void {
    const { part, logprobs } = item;
    switch (part.kind) {
      case "text": {
        const { text } = part;
        this.#tell("response.output_text.done", { ...place(item), content_index: 0, text, logprobs });
        const shown = textPart(text, logprobs);
        return this.#tell("response.content_part.done", { ...place(item), content_index: 0, part: shown });
      }
      case "thinking":
        return this.#tell("response.reasoning_text.done", {
          ...place(item),
          content_index: 0,
          text: part.text,
        });
      case "tool_call": {
        const { name, arguments: text } = part;
        return this.#tell("response.function_call_arguments.done", { ...place(item), name, arguments: text });
      }
    }
  }

  #tellResponse(type: string, state: ResponseState): void {
    this.#tell(type, { response: responseObject(this.#request, this.#context, state) });
  }

  #tell(type: string, value: JsonObject): void {
    this.#out.data(responsesEvent(type, { sequence_number: this.#sequence++, ...value }));
  }
}

function place({ id, index }: OpenItem): JsonObject {
  return { item_id: id, output_index: index };
}
