/** The two halves of a translation as pure functions: on the event loop for what is small, in a thread for what is large. */
import { isFailure, type Failure } from "../../core/errors.ts";
import type { AttemptTarget, TokenUsage } from "../../core/forward.ts";
import type { WireAnswer } from "../../core/request.ts";
import { estimateUsage } from "../streams/estimate-tokens.ts";
import type { ChatAnswer } from "./chat-answer.ts";
import type { AnsweredRequest } from "./chat-request.ts";
import type {
  AnswerContext,
  CallerCodec,
  CallerEmbeddings,
  ServerCodec,
  ServerEmbeddings,
  WrittenRequest,
} from "./codec.ts";

/** A request in a server's words, and what the writer of its answer needs of it. */
export interface TranslatedRequest<Answered> {
  readonly written: WrittenRequest;
  readonly request: Answered;
}

/** An answer in the caller's words, and its tokens. */
export interface TranslatedAnswer {
  readonly answer: WireAnswer;
  readonly usage: TokenUsage;
}

/** Reads a caller's chat and writes it for a server. What is given back holds no conversation. */
export function translateChat(
  body: Uint8Array,
  { caller, server }: { readonly caller: CallerCodec; readonly server: ServerCodec },
  target: AttemptTarget,
): TranslatedRequest<AnsweredRequest> | Failure {
  const read = caller.readChat(body);
  if (isFailure(read)) return read;
  const written = server.writeChatRequest(read, target);
  if (isFailure(written)) return written;
  const { messages: _, raw: __, ...request } = read;
  return { written, request: caller.repeatsTools ? request : { ...request, tools: [], format: undefined } };
}

/** Reads a caller's texts and writes them for a server. */
export function translateEmbeddings(
  body: Uint8Array,
  { caller, server }: { readonly caller: CallerEmbeddings; readonly server: ServerEmbeddings },
  target: AttemptTarget,
): WrittenRequest | Failure {
  const request = caller.readRequest(body);
  return isFailure(request) ? request : server.writeRequest(request, target);
}

/** A server's whole answer to a chat in the caller's words. */
export function translateChatAnswer(
  body: Uint8Array,
  parts: {
    readonly caller: CallerCodec;
    readonly server: ServerCodec;
    readonly request: AnsweredRequest;
    readonly context: AnswerContext;
  },
): TranslatedAnswer | Failure {
  const { caller, server, request, context } = parts;
  const answer = server.readChatAnswer(body);
  if (isFailure(answer)) return answer;
  const usage = answer.usage ?? estimateUsage(context.estimate, contentBytes(answer));
  return { answer: caller.writeChatAnswer({ ...answer, usage }, request, context), usage };
}

function contentBytes({ content }: ChatAnswer): number {
  let bytes = 0;
  for (const part of content) {
    bytes += Buffer.byteLength(part.kind === "tool_call" ? part.name + part.arguments : part.text);
  }
  return bytes;
}

/** A server's vectors in the caller's words. */
export function translateEmbeddingsAnswer(
  body: Uint8Array,
  parts: {
    readonly caller: CallerEmbeddings;
    readonly server: ServerEmbeddings;
    readonly context: AnswerContext;
  },
): TranslatedAnswer | Failure {
  const { caller, server, context } = parts;
  const answer = server.readAnswer(body);
  if (isFailure(answer)) return answer;
  const promptTokens = answer.promptTokens ?? context.estimate.promptTokens;
  const estimated = answer.promptTokens === undefined;
  return {
    answer: caller.writeAnswer({ ...answer, promptTokens }, context),
    usage: { promptTokens, cachedTokens: 0, completionTokens: 0, estimated },
  };
}
