/** Translations as a thread is asked for them: by the names of the dialects' parts, with plain values alone. */
import type { Clock } from "../core/clock.ts";
import { failure, type Failure } from "../core/errors.ts";
import type { AttemptTarget, ChatDialect } from "../core/forward.ts";
import { anthropicMessages, anthropicServer } from "./anthropic/codecs.ts";
import type { AnsweredRequest } from "./chat/chat-request.ts";
import type {
  AnswerContext,
  CallerCodec,
  CallerEmbeddings,
  ChatCallerName,
  EmbeddingsCallerName,
  ServerCodec,
  WrittenRequest,
} from "./chat/codec.ts";
import {
  translateChat,
  translateChatAnswer,
  translateEmbeddings,
  translateEmbeddingsAnswer,
  type TranslatedAnswer,
  type TranslatedRequest,
} from "./chat/translate.ts";
import { ollamaChat, ollamaGenerate, ollamaServer } from "./ollama/codecs.ts";
import { ollamaEmbed, ollamaEmbeddings } from "./ollama/embeddings.ts";
import { openAiChat, openAiResponses } from "./openai/openai-callers.ts";
import { openAiServer } from "./openai/openai-server.ts";

/** The servers' sides of all dialects. */
export const serverCodecs: Readonly<Record<ChatDialect, ServerCodec>> = {
  openai: openAiServer,
  ollama: ollamaServer,
  anthropic: anthropicServer,
};

const chatCallers: Readonly<Record<ChatCallerName, CallerCodec>> = {
  "openai chat": openAiChat,
  "openai responses": openAiResponses,
  "ollama chat": ollamaChat,
  "ollama generate": ollamaGenerate,
  "anthropic messages": anthropicMessages,
};

const embeddingsCallers: Readonly<Record<EmbeddingsCallerName, CallerEmbeddings>> = {
  "ollama embed": ollamaEmbed,
  "ollama embeddings": ollamaEmbeddings,
};

/** The context of an answer at one moment, as a plain value. */
export type MomentOfAnswer = Omit<AnswerContext, "clock"> & {
  /** Of the clock, ms. */
  readonly now: number;
  readonly wallNow: number;
};

/** The context as a plain value. */
export function momentOf({ clock, ...context }: AnswerContext): MomentOfAnswer {
  return { ...context, now: clock.now(), wallNow: clock.wallNow() };
}

/** A request to be written for a server. */
export interface RequestTask<Caller> {
  readonly body: Uint8Array;
  readonly caller: Caller;
  readonly target: AttemptTarget;
}

/** A server's whole answer to be written for its caller. */
export interface AnswerTask<Caller> {
  readonly body: Uint8Array;
  readonly caller: Caller;
  readonly dialect: ChatDialect;
  readonly moment: MomentOfAnswer;
}

/** The tasks by name. */
export const translationTasks = {
  /** Writes a chat for a server. */
  translateChat: ({
    body,
    caller,
    target,
  }: RequestTask<ChatCallerName>): TranslatedRequest<AnsweredRequest> | Failure =>
    translateChat(body, { caller: chatCallers[caller], server: serverCodecs[target.dialect] }, target),
  /** Writes texts that vectors are wanted of for a server. */
  translateEmbeddings: ({
    body,
    caller,
    target,
  }: RequestTask<EmbeddingsCallerName>): WrittenRequest | Failure => {
    const server = serverCodecs[target.dialect].embeddings;
    if (server === undefined) return failure("internal");
    return translateEmbeddings(body, { caller: embeddingsCallers[caller], server }, target);
  },
  /** Writes a chat's answer for its caller. */
  translateChatAnswer: ({
    body,
    caller,
    dialect,
    moment,
    request,
  }: AnswerTask<ChatCallerName> & { readonly request: AnsweredRequest }): TranslatedAnswer | Failure =>
    translateChatAnswer(body, {
      caller: chatCallers[caller],
      server: serverCodecs[dialect],
      request,
      context: contextAt(moment),
    }),
  /** Writes vectors for their caller. */
  translateEmbeddingsAnswer: ({
    body,
    caller,
    dialect,
    moment,
  }: AnswerTask<EmbeddingsCallerName>): TranslatedAnswer | Failure => {
    const server = serverCodecs[dialect].embeddings;
    if (server === undefined) return failure("internal");
    const context = contextAt(moment);
    return translateEmbeddingsAnswer(body, { caller: embeddingsCallers[caller], server, context });
  },
} as const;

function contextAt({ now, wallNow, ...context }: MomentOfAnswer): AnswerContext {
  return { ...context, clock: standingClock(now, wallNow) };
}

/** Time that stands still while an answer is written. */
function standingClock(now: number, wallNow: number): Clock {
  return { now: () => now, wallNow: () => wallNow, after: () => ({ cancel: () => {} }) };
}
