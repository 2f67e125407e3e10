/** Requests for servers that speak another dialect than their caller: read once, written for each attempt. */
import { failure, isFailure, type Failure } from "../../core/errors.ts";
import type { Attempt, AttemptTarget, AnswerSink, Operation } from "../../core/forward.ts";
import { apiNames } from "./cannot-carry.ts";
import type { ChatRequest } from "./chat-request.ts";
import type { AnswerContext, CallerCodec, CallerEmbeddings, ServerCodecs } from "./codec.ts";
import type { EmbeddingsRequest } from "./embeddings.ts";
import { createWholeChatReader, TranslatingWhole } from "./translating-whole.ts";
import { TranslatingStream } from "./translating-stream.ts";

/** One caller's chat, translated for whatever servers it is tried on. */
export class ChatTranslation {
  readonly #caller: CallerCodec;
  readonly #servers: ServerCodecs;
  readonly #body: Uint8Array;
  readonly #context: AnswerContext;
  #request: ChatRequest | Failure | undefined;

  constructor(parts: {
    readonly caller: CallerCodec;
    readonly servers: ServerCodecs;
    readonly body: Uint8Array;
    readonly context: AnswerContext;
  }) {
    this.#caller = parts.caller;
    this.#servers = parts.servers;
    this.#body = parts.body;
    this.#context = parts.context;
  }

  /** The request in the target's dialect and the reader of its answer; a failure (400) that names the field it cannot carry. */
  attempt(target: AttemptTarget, out: AnswerSink): Attempt | Failure {
    const request = (this.#request ??= this.#caller.readChat(this.#body));
    if (isFailure(request)) return request;
    const server = this.#servers[target.dialect];
    if (server === undefined) return notOffered("chat", target);
    const written = server.writeChatRequest(request, target);
    if (isFailure(written)) return written;
    const parts = { server, caller: this.#caller, request, context: this.#context, out };
    const reader = request.stream ? new TranslatingStream(parts) : createWholeChatReader(parts);
    return { method: "POST", ...written, reader };
  }
}

/** One caller's request for embeddings, translated for whatever servers it is tried on. */
export class EmbeddingsTranslation {
  readonly #caller: CallerEmbeddings;
  readonly #servers: ServerCodecs;
  readonly #body: Uint8Array;
  readonly #context: AnswerContext;
  #request: EmbeddingsRequest | Failure | undefined;

  constructor(parts: {
    readonly caller: CallerEmbeddings;
    readonly servers: ServerCodecs;
    readonly body: Uint8Array;
    readonly context: AnswerContext;
  }) {
    this.#caller = parts.caller;
    this.#servers = parts.servers;
    this.#body = parts.body;
    this.#context = parts.context;
  }

  /** As of a chat; a 400 for a dialect without embeddings. */
  attempt(target: AttemptTarget, out: AnswerSink): Attempt | Failure {
    const server = this.#servers[target.dialect];
    const embeddings = server?.embeddings;
    if (server === undefined || embeddings === undefined) return notOffered("embeddings", target);
    const request = (this.#request ??= this.#caller.readRequest(this.#body));
    if (isFailure(request)) return request;
    const written = embeddings.writeRequest(request, target);
    if (isFailure(written)) return written;
    const caller = this.#caller;
    const context = this.#context;
    const reader = new TranslatingWhole({
      out,
      translate: (body) => {
        const answer = embeddings.readAnswer(body);
        if (isFailure(answer)) return answer;
        const promptTokens = answer.promptTokens ?? context.estimate.promptTokens;
        const estimated = answer.promptTokens === undefined;
        return {
          answer: caller.writeAnswer({ ...answer, promptTokens }, request, context),
          usage: { promptTokens, cachedTokens: 0, completionTokens: 0, estimated },
        };
      },
      readErrorText: server.readErrorText,
      writeRefusal: caller.writeRefusal,
    });
    return { method: "POST", ...written, reader };
  }
}

/** A 400 that names `model`: the target's dialect has no such call. */
export function notOffered(operation: Operation, target: AttemptTarget): Failure {
  const text = `The server of this model speaks ${apiNames[target.dialect]}, which has no ${operation}`;
  return { ...failure("bad_request", `model: ${text}`), field: "model" };
}
