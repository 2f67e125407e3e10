/** Requests of OpenAI's callers: bytes for servers that speak the same API, translated for others. */
import type { Cancellation } from "../../core/cancellation.ts";
import type { Failure } from "../../core/errors.ts";
import type {
  AnswerReader,
  AnswerSink,
  Attempt,
  AttemptTarget,
  ForwardPayload,
  Operation,
  TokenEstimate,
  TokenUsage,
} from "../../core/forward.ts";
import { nameAt } from "../../core/model-name.ts";
import type { HeaderList } from "../../core/headers.ts";
import type { AnswerContext, CallerCodec, ServerCodecs } from "../chat/codec.ts";
import { passRefusal, type RefusedAnswer } from "../chat/refusal.ts";
import { ChatTranslation, notOffered } from "../chat/translation.ts";
import type { JsonThreads } from "../json/json-threads.ts";
import { estimateUsage } from "../streams/estimate-tokens.ts";
import { SseReader } from "../streams/sse-reader.ts";
import { StreamRelay, type StreamWords } from "../streams/stream-relay.ts";
import { WholeRelay } from "../streams/whole-relay.ts";
import { ChatInspector } from "./chat-inspector.ts";
import { writeOpenAiErrorEvent, writeOpenAiRefusal } from "./openai-errors.ts";
import { asksForUsage, bodyFor, type OpenAiCall } from "./read-call.ts";
import { readUsage } from "./read-usage.ts";
import { writeResponsesErrorEvent } from "./responses-events.ts";
import { ResponsesInspector } from "./responses-inspector.ts";
import { sseHeaders } from "./sse-headers.ts";

/** The addresses that models answer. */
export type OpenAiOperation = Extract<Operation, "chat" | "completions" | "embeddings" | "responses">;

/** Paths by operation, the same for callers and servers. */
export const openAiPaths: Readonly<Record<OpenAiOperation, string>> = {
  chat: "/v1/chat/completions",
  completions: "/v1/completions",
  embeddings: "/v1/embeddings",
  responses: "/v1/responses",
};

/**
 * Headers of servers that go on to callers: what tells of this answer alone. Rate limits are of the
 * gateway's account, request ids and cookies of the gateway's connection; those stay.
 */
const passedHeaders = ["openai-processing-ms", "openai-version"] as const;

const streamWords: StreamWords = {
  contentType: "text/event-stream",
  headers: sseHeaders,
  createReader: (handler) => new SseReader(handler),
  writeError: writeOpenAiErrorEvent,
};

const responsesWords: StreamWords = {
  ...streamWords,
  writeError: (reason) => writeResponsesErrorEvent(reason, 0),
};

const jsonRequest: HeaderList = [
  ["content-type", "application/json"],
  ["accept", "application/json"],
];
const streamRequest: HeaderList = [
  ["content-type", "application/json"],
  ["accept", "text/event-stream"],
];

/** How a call that its server does not offer is translated. */
export interface OpenAiTranslation {
  readonly caller: CallerCodec;
  readonly servers: ServerCodecs;
  readonly context: AnswerContext;
  readonly threads?: JsonThreads | undefined;
}

/** One request. Without a translation, a server that does not offer the call is a 400. */
export class OpenAiPayload implements ForwardPayload {
  readonly kind = "forward";
  readonly dialect = "openai";
  readonly operation: OpenAiOperation;
  readonly stream: boolean;
  readonly repeatable: boolean;
  readonly estimate: TokenEstimate;
  readonly #call: OpenAiCall;
  readonly #parts: OpenAiTranslation | undefined;
  #translation: ChatTranslation | undefined;

  constructor(operation: OpenAiOperation, call: OpenAiCall, translation: OpenAiTranslation | undefined) {
    this.operation = operation;
    this.stream = call.stream;
    this.repeatable = call.repeatable;
    this.estimate = call.estimate;
    this.#call = call;
    this.#parts = translation;
  }

  prepare(target: AttemptTarget, cancellation: Cancellation): Promise<void> | undefined {
    if (servesBytes(this.operation, target)) return undefined;
    return this.#translated()?.prepare(target, cancellation);
  }

  attempt(target: AttemptTarget, sink: AnswerSink): Attempt | Failure {
    if (servesBytes(this.operation, target)) return this.#relay(target, sink);
    return this.#translated()?.attempt(target, sink) ?? notOffered(this.operation, target);
  }

  #translated(): ChatTranslation | undefined {
    if (this.#parts === undefined) return undefined;
    return (this.#translation ??= new ChatTranslation({ ...this.#parts, body: this.#call.spans.bytes }));
  }

  #relay(target: AttemptTarget, out: AnswerSink): Attempt {
    const call = this.#call;
    const addsUsage = this.stream && this.operation !== "responses" && !asksForUsage(call);
    const name = nameAt(target, call.model);
    const model = name === call.model ? undefined : name;
    return {
      method: "POST",
      path: openAiPaths[this.operation],
      headers: this.stream ? streamRequest : jsonRequest,
      ...bodyFor(call, { model, addsUsage }),
      reader: this.stream ? this.#streamReader(out, addsUsage) : this.#wholeReader(out),
    };
  }

  #streamReader(out: AnswerSink, hidesUsage: boolean): AnswerReader {
    const isResponses = this.operation === "responses";
    return new StreamRelay({
      words: isResponses ? responsesWords : streamWords,
      inspector: isResponses ? new ResponsesInspector() : new ChatInspector(hidesUsage),
      out,
      estimate: this.estimate,
      passedHeaders,
      refused,
    });
  }

  #wholeReader(out: AnswerSink): AnswerReader {
    const { estimate } = this;
    const hasCompletion = this.operation !== "embeddings";
    const read = (tail: Uint8Array, answerBytes: number): TokenUsage =>
      readUsage(tail) ?? estimateUsage(estimate, hasCompletion ? answerBytes : 0);
    return new WholeRelay({ out, passedHeaders, readUsage: read, refused });
  }
}

/** Ollama has all of OpenAI's addresses but responses, which newer ones serve. */
function servesBytes(operation: OpenAiOperation, target: AttemptTarget): boolean {
  if (operation === "responses") return target.serves.includes("responses");
  return target.dialect !== "anthropic";
}

function refused(answer: RefusedAnswer): ReturnType<AnswerReader["refused"]> {
  return passRefusal(answer, writeOpenAiRefusal);
}
