/** What a dialect provides to take part in translation: one side for its callers, one for its servers. */
import type { Clock } from "../../core/clock.ts";
import type { Failure } from "../../core/errors.ts";
import type { AttemptTarget, ChatDialect, TokenEstimate, TokenUsage } from "../../core/forward.ts";
import type { HeaderList } from "../../core/headers.ts";
import type { WireAnswer } from "../../core/request.ts";
import type { ChatAnswer, ChatEvents, ChatStreamReader, ChatStreamWriter } from "./chat-answer.ts";
import type { AnsweredRequest, ChatRequest } from "./chat-request.ts";
import type { EmbeddingsAnswer, EmbeddingsRequest } from "./embeddings.ts";

/** A request to a server, written. */
export interface WrittenRequest {
  /** With a leading slash, below the server's base address. */
  readonly path: string;
  /** `content-type`, `accept`, `anthropic-version`. */
  readonly headers: HeaderList;
  readonly body: Uint8Array;
}

/** The servers' side of a dialect. One object for the life of the gateway, without state. */
export interface ServerCodec {
  readonly dialect: ChatDialect;
  /** A failure (400) that names the caller's field that the dialect cannot carry: see `cannotCarry`. */
  writeChatRequest(request: ChatRequest, target: AttemptTarget): WrittenRequest | Failure;
  /** A reader of a streamed answer with a status of 2xx. */
  createStreamReader(events: ChatEvents): ChatStreamReader;
  /** Reads a whole answer with a status of 2xx; `bad_upstream_answer` for what is none. */
  readChatAnswer(body: Uint8Array): ChatAnswer | Failure;
  /** Undefined where the dialect has no embeddings. */
  readonly embeddings: ServerEmbeddings | undefined;
  /** What an answer with a status of 400 or more says; undefined where it cannot be read. */
  readonly readErrorText: (body: Uint8Array) => string | undefined;
}

/** Embeddings, the servers' side. */
export interface ServerEmbeddings {
  writeRequest(request: EmbeddingsRequest, target: AttemptTarget): WrittenRequest | Failure;
  readAnswer(body: Uint8Array): EmbeddingsAnswer | Failure;
}

/** The servers' sides of the dialects, put together by `app`. Servers of a dialect without one take no translated calls. */
export type ServerCodecs = Readonly<Partial<Record<ChatDialect, ServerCodec>>>;

/** What a writer of answers knows of its request. */
export interface AnswerContext {
  /** Of the gateway's request: unique, at most 128 characters. */
  readonly requestId: string;
  /** The caller's name for the model. */
  readonly model: string;
  readonly estimate: TokenEstimate;
  /** For dates and durations in answers. */
  readonly clock: Clock;
  /** When the request came, on the clock's monotonic time, ms. */
  readonly receivedAt: number;
}

/** Where a stream writer puts its bytes. */
export interface ByteOutput {
  data(chunk: Uint8Array): void;
}

/** Addresses whose chats can be translated: by it a thread finds the codec. */
export type ChatCallerName =
  | "openai chat"
  | "openai responses"
  | "ollama chat"
  | "ollama generate"
  | "anthropic messages";

/** Addresses whose embeddings can be translated. */
export type EmbeddingsCallerName = "ollama embed" | "ollama embeddings";

/** The callers' side of one address of a dialect: chat, generate, messages, responses. Without state. */
export interface CallerCodec {
  readonly name: ChatCallerName;
  /** Answers repeat the request's tools and format. */
  readonly repeatsTools: boolean;
  /** Reads a caller's body; a failure (400) that names the field that no other dialect could carry. */
  readChat(body: Uint8Array): ChatRequest | Failure;
  /** Head of a streamed answer, without what the door adds. */
  readonly streamHeaders: HeaderList;
  /** A writer that sends nothing before `start`. */
  createStreamWriter(out: ByteOutput, request: AnsweredRequest, context: AnswerContext): ChatStreamWriter;
  /** A whole answer's body. Tokens are estimated where the server said nothing. */
  writeChatAnswer(
    answer: ChatAnswer & { readonly usage: TokenUsage },
    request: AnsweredRequest,
    context: AnswerContext,
  ): WireAnswer;
  /** A refusal in the dialect's words, with this status. */
  readonly writeRefusal: (status: number, message: string) => WireAnswer;
}

/** Embeddings, the callers' side of one address. */
export interface CallerEmbeddings {
  readonly name: EmbeddingsCallerName;
  readRequest(body: Uint8Array): EmbeddingsRequest | Failure;
  writeAnswer(
    answer: EmbeddingsAnswer & { readonly promptTokens: number },
    context: AnswerContext,
  ): WireAnswer;
  /** A refusal in the dialect's words, with this status. */
  readonly writeRefusal: (status: number, message: string) => WireAnswer;
}
