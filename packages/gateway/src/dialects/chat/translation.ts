/** Requests for servers that speak another dialect than their caller: read once, written for each attempt. */
import type { Cancellation } from "../../core/cancellation.ts";
import { failure, isFailure, type Failure } from "../../core/errors.ts";
import type { Attempt, AttemptTarget, AnswerSink, Operation } from "../../core/forward.ts";
import type { JsonThreads } from "../json/json-threads.ts";
import { momentOf } from "../translation-tasks.ts";
import { apiNames } from "./cannot-carry.ts";
import type { AnsweredRequest, ChatRequest } from "./chat-request.ts";
import type {
  AnswerContext,
  CallerCodec,
  CallerEmbeddings,
  ServerCodec,
  ServerCodecs,
  WrittenRequest,
} from "./codec.ts";
import type { EmbeddingsRequest } from "./embeddings.ts";
import { PreparedFor } from "./prepared-for.ts";
import { translateEmbeddingsAnswer, type TranslatedRequest } from "./translate.ts";
import { TranslatingStream, type TranslationParts } from "./translating-stream.ts";
import { createWholeChatReader, TranslatingWhole } from "./translating-whole.ts";

/** What a translation is made from. */
export interface TranslationOf<Caller> {
  readonly caller: Caller;
  readonly servers: ServerCodecs;
  readonly body: Uint8Array;
  /** What follows `body`, where a large one is not joined. */
  readonly rest?: readonly Uint8Array[] | undefined;
  readonly context: AnswerContext;
  /** Where large bodies and answers are translated; undefined: on the event loop, like small ones. */
  readonly threads?: JsonThreads | undefined;
}

/** Translates one caller's request for whatever servers it is tried on. */
export interface Translator {
  /** As `ForwardPayload.prepare`. */
  prepare(target: AttemptTarget, cancellation: Cancellation): Promise<void> | undefined;
  /** As `ForwardPayload.attempt`. */
  attempt(target: AttemptTarget, out: AnswerSink): Attempt | Failure;
}

/** One caller's chat. */
export class ChatTranslation implements Translator {
  readonly #parts: TranslationOf<CallerCodec>;
  readonly #prepared = new PreparedFor<TranslatedRequest<AnsweredRequest>>();
  #request: ChatRequest | Failure | undefined;

  constructor(parts: TranslationOf<CallerCodec>) {
    this.#parts = parts;
  }

  prepare(target: AttemptTarget, cancellation: Cancellation): Promise<void> | undefined {
    const { caller, servers } = this.#parts;
    const threads = threadsFor(this.#parts, sizeOf(this.#parts));
    if (threads === undefined || servers[target.dialect] === undefined) return undefined;
    return this.#prepared.prepare(target, (task) =>
      threads.translate(
        "translateChat",
        { caller: caller.name, target: task },
        piecesOf(this.#parts),
        cancellation,
      ),
    );
  }

  /** The request in the target's dialect and the reader of its answer; a failure (400) that names the field it cannot carry. */
  attempt(target: AttemptTarget, out: AnswerSink): Attempt | Failure {
    const { servers, caller, context } = this.#parts;
    const server = servers[target.dialect];
    const translated = this.#prepared.take(target) ?? this.#inPlace(server, target);
    if (isFailure(translated)) return translated;
    if (server === undefined) return notOffered("chat", target);
    const { written, request } = translated;
    const parts = { server, caller, request, context, out };
    const reader = request.stream ? new TranslatingStream(parts) : this.#wholeReader(parts);
    return { method: "POST", ...written, reader };
  }

  #inPlace(
    server: ServerCodec | undefined,
    target: AttemptTarget,
  ): TranslatedRequest<AnsweredRequest> | Failure {
    const { caller } = this.#parts;
    const request = (this.#request ??= caller.readChat(joined(this.#parts)));
    if (isFailure(request)) return request;
    if (server === undefined) return notOffered("chat", target);
    const written = server.writeChatRequest(request, target);
    return isFailure(written) ? written : { written, request };
  }

  #wholeReader(parts: TranslationParts): TranslatingWhole {
    const { server, caller, request, context } = parts;
    return createWholeChatReader(parts, (pieces, bytes) =>
      threadsFor(this.#parts, bytes)?.translate(
        "translateChatAnswer",
        { caller: caller.name, dialect: server.dialect, request: plain(request), moment: momentOf(context) },
        pieces,
      ),
    );
  }
}

/** One caller's request for embeddings. */
export class EmbeddingsTranslation implements Translator {
  readonly #parts: TranslationOf<CallerEmbeddings>;
  readonly #prepared = new PreparedFor<WrittenRequest>();
  #request: EmbeddingsRequest | Failure | undefined;

  constructor(parts: TranslationOf<CallerEmbeddings>) {
    this.#parts = parts;
  }

  prepare(target: AttemptTarget, cancellation: Cancellation): Promise<void> | undefined {
    const { caller, servers } = this.#parts;
    const threads = threadsFor(this.#parts, sizeOf(this.#parts));
    if (threads === undefined || servers[target.dialect]?.embeddings === undefined) return undefined;
    return this.#prepared.prepare(target, (task) =>
      threads.translate(
        "translateEmbeddings",
        { caller: caller.name, target: task },
        piecesOf(this.#parts),
        cancellation,
      ),
    );
  }

  /** As of a chat; a 400 for a dialect without embeddings. */
  attempt(target: AttemptTarget, out: AnswerSink): Attempt | Failure {
    const { servers, caller, context } = this.#parts;
    const codec = servers[target.dialect];
    const server = codec?.embeddings;
    if (codec === undefined || server === undefined) return notOffered("embeddings", target);
    let written = this.#prepared.take(target);
    if (written === undefined) {
      const request = (this.#request ??= caller.readRequest(joined(this.#parts)));
      written = isFailure(request) ? request : server.writeRequest(request, target);
    }
    if (isFailure(written)) return written;
    const { dialect, readErrorText } = codec;
    const reader = new TranslatingWhole({
      out,
      translate: (answer) => translateEmbeddingsAnswer(answer, { caller, server, context }),
      translateLarge: (pieces, bytes) =>
        threadsFor(this.#parts, bytes)?.translate(
          "translateEmbeddingsAnswer",
          { caller: caller.name, dialect, moment: momentOf(context) },
          pieces,
        ),
      readErrorText,
      writeRefusal: caller.writeRefusal,
    });
    return { method: "POST", ...written, reader };
  }
}

type BodyParts = Pick<TranslationOf<unknown>, "body" | "rest">;

function piecesOf({ body, rest = [] }: BodyParts): readonly Uint8Array[] {
  return [body, ...rest];
}

function sizeOf(parts: BodyParts): number {
  return piecesOf(parts).reduce((sum, { length }) => sum + length, 0);
}

function joined(parts: BodyParts): Uint8Array {
  return parts.rest === undefined ? parts.body : Buffer.concat(piecesOf(parts));
}

/** The threads for a text of so many bytes; undefined for what the event loop can do itself. */
function threadsFor({ threads }: TranslationOf<unknown>, bytes: number): JsonThreads | undefined {
  return threads === undefined || bytes <= threads.limits.parseInPlaceBytes ? undefined : threads;
}

/** Without the conversation, which is not to be copied into a thread. */
function plain({
  messages: _,
  raw: __,
  ...request
}: AnsweredRequest & Partial<ChatRequest>): AnsweredRequest {
  return request;
}

/** A 400 that names `model`: the target's dialect has no such call. */
export function notOffered(operation: Operation, target: AttemptTarget): Failure {
  const text = `The server of this model speaks ${apiNames[target.dialect]}, which has no ${operation}`;
  return { ...failure("bad_request", `model: ${text}`), field: "model" };
}
