/** Reads one server's stream in its dialect and writes it in the caller's, event by event. */
import type { Failure } from "../../core/errors.ts";
import type { AnswerReader, AnswerSink, TokenUsage, RefusedAnswer } from "../../core/forward.ts";
import { headerValue, type HeaderMap } from "../../core/headers.ts";
import type { WireAnswer } from "../../core/request.ts";
import { estimateUsage, partialUsage } from "../streams/estimate-tokens.ts";
import { unexpectedType, unfinished } from "../streams/stream-relay.ts";
import type {
  ChatEvents,
  ChatFinish,
  ChatStart,
  ChatStreamReader,
  ChatStreamWriter,
  TokenLogprob,
  ToolCallStart,
} from "./chat-answer.ts";
import type { AnsweredRequest } from "./chat-request.ts";
import type { AnswerContext, CallerCodec, ServerCodec } from "./codec.ts";
import { translateRefusal } from "./refusal.ts";

/** What one translation of an answer is made from. */
export interface TranslationParts {
  readonly server: ServerCodec;
  readonly caller: CallerCodec;
  readonly request: AnsweredRequest;
  readonly context: AnswerContext;
  readonly out: AnswerSink;
}

/** Passes a server's answer to the caller's writer as it comes. */
export class TranslatingStream implements AnswerReader {
  readonly #parts: TranslationParts;
  readonly #reader: ChatStreamReader;
  readonly #events: WritingEvents;

  constructor(parts: TranslationParts) {
    this.#parts = parts;
    this.#events = new WritingEvents(parts);
    this.#reader = parts.server.createStreamReader(this.#events);
  }

  head(status: number, headers: HeaderMap): void {
    const type = headerValue(headers, "content-type");
    const isPage = type?.toLowerCase().startsWith("text/html") === true;
    if (isPage) return this.#events.fail(unexpectedType("a stream", type));
    this.#parts.out.head(status, this.#parts.caller.streamHeaders);
  }

  data(chunk: Uint8Array): void {
    if (!this.#events.isEnded) this.#reader.data(chunk);
  }

  /** A reader that told neither end nor failure has not read the server's last word. */
  end(): void {
    if (!this.#events.isEnded) this.#reader.end();
    this.#events.fail(unfinished());
  }

  cut(reason: Failure): void {
    this.#events.fail(reason);
  }

  usedSoFar(): TokenUsage {
    return this.#events.usedSoFar();
  }

  refused(answer: RefusedAnswer): WireAnswer {
    const { server, caller } = this.#parts;
    return translateRefusal(answer, server.readErrorText(answer.body), caller.writeRefusal);
  }
}

/** Hears what the server's reader reads: commits, counts and writes. */
class WritingEvents implements ChatEvents {
  readonly #parts: TranslationParts;
  readonly #writer: ChatStreamWriter;
  #finish: ChatFinish = { reason: "stop", stopSequence: undefined };
  #usage: TokenUsage | undefined;
  #contentBytes = 0;
  #hasStarted = false;
  #isCommitted = false;
  /** The caller's stream is over, well or not; what is told afterwards is not heard. */
  isEnded = false;

  constructor(parts: TranslationParts) {
    this.#parts = parts;
    this.#writer = parts.caller.createStreamWriter(parts.out, parts.request, parts.context);
  }

  start(start: ChatStart): void {
    if (this.isEnded || this.#hasStarted) return;
    this.#hasStarted = true;
    this.#writer.start(start);
  }

  text(delta: string, logprobs: readonly TokenLogprob[] | undefined): void {
    if (this.#takes(delta)) this.#writer.text(delta, logprobs);
  }

  thinking(delta: string): void {
    if (this.#takes(delta)) this.#writer.thinking(delta);
  }

  thinkingSignature(signature: string): void {
    if (this.#takes("")) this.#writer.thinkingSignature(signature);
  }

  toolCall(call: ToolCallStart): void {
    if (this.#takes(call.name)) this.#writer.toolCall(call);
  }

  toolArguments(index: number, delta: string): void {
    if (this.#takes(delta)) this.#writer.toolArguments(index, delta);
  }

  toolCallEnd(index: number): void {
    if (!this.isEnded) this.#writer.toolCallEnd(index);
  }

  finish(finish: ChatFinish): void {
    this.#finish = finish;
  }

  usage(tokens: TokenUsage): void {
    this.#usage = tokens;
  }

  /** An answer without content is committed with its end. */
  end(): void {
    if (!this.#takes("")) return;
    const tokens = this.#tokens();
    this.isEnded = true;
    this.#writer.end(this.#finish, tokens);
    this.#parts.out.usage(tokens);
    this.#parts.out.end();
  }

  /** Before the commit the answer is dropped; after it the caller is told by an event. */
  fail(reason: Failure): void {
    if (this.isEnded) return;
    this.isEnded = true;
    if (!this.#isCommitted) return this.#parts.out.fail(reason);
    this.#writer.fail(reason);
    this.#parts.out.usage(this.usedSoFar());
    this.#parts.out.end(reason);
  }

  /** False once the stream is over; the first content starts and commits the answer. */
  #takes(delta: string): boolean {
    if (this.isEnded) return false;
    if (!this.#isCommitted) {
      this.start({ id: undefined, promptTokens: undefined });
      this.#isCommitted = true;
      this.#parts.out.commit();
    }
    this.#contentBytes += Buffer.byteLength(delta);
    return true;
  }

  usedSoFar(): TokenUsage {
    return partialUsage(this.#usage, this.#estimated());
  }

  #tokens(): TokenUsage {
    return this.#usage ?? this.#estimated();
  }

  #estimated(): TokenUsage {
    return estimateUsage(this.#parts.context.estimate, this.#contentBytes);
  }
}
