/** Reads one server's whole answer in its dialect and writes it in the caller's. */
import { failure, isFailure, type Failure } from "../../core/errors.ts";
import type { AnswerReader, AnswerSink, TokenUsage } from "../../core/forward.ts";
import type { HeaderMap } from "../../core/headers.ts";
import type { WireAnswer } from "../../core/request.ts";
import { estimateUsage } from "../streams/estimate-tokens.ts";
import type { ChatAnswer } from "./chat-answer.ts";
import { translateRefusal, type RefusalWriter, type RefusedAnswer } from "./refusal.ts";
import type { TranslationParts } from "./translating-stream.ts";

/** Longest answer that is translated as one, bytes. */
export const maxTranslatedBytes = 32 * 1024 * 1024;

/** An answer in the caller's words, and its tokens. */
export interface TranslatedAnswer {
  readonly answer: WireAnswer;
  readonly usage: TokenUsage;
}

/** What a translation of a whole answer is made from. */
export interface WholeTranslationParts {
  readonly out: AnswerSink;
  readonly translate: (body: Uint8Array) => TranslatedAnswer | Failure;
  /** What an error body of the server says. */
  readonly readErrorText: (body: Uint8Array) => string | undefined;
  readonly writeRefusal: RefusalWriter;
}

/** Collects the answer and writes it once it is complete. Until then another endpoint may be tried. */
export class TranslatingWhole implements AnswerReader {
  readonly #parts: WholeTranslationParts;
  #chunks: Uint8Array[] = [];
  #bytes = 0;
  #isEnded = false;

  constructor(parts: WholeTranslationParts) {
    this.#parts = parts;
  }

  head(_status: number, _headers: HeaderMap): void {}

  data(chunk: Uint8Array): void {
    if (this.#isEnded) return;
    this.#bytes += chunk.length;
    if (this.#bytes > maxTranslatedBytes) {
      const text = `The server sent an answer of more than ${maxTranslatedBytes} bytes`;
      return this.#fail(failure("bad_upstream_answer", text));
    }
    this.#chunks.push(chunk);
  }

  end(): void {
    if (this.#isEnded) return;
    const [only] = this.#chunks;
    const body = only !== undefined && this.#chunks.length === 1 ? only : Buffer.concat(this.#chunks);
    const translated = this.#parts.translate(body);
    if (isFailure(translated)) return this.#fail(translated);
    this.#isEnded = true;
    this.#chunks = [];
    const { answer, usage } = translated;
    const { out } = this.#parts;
    out.head(answer.status, answer.headers);
    out.commit();
    for (const part of answer.body) out.data(part);
    out.usage(usage);
    out.end();
  }

  cut(reason: Failure): void {
    if (!this.#isEnded) this.#fail(reason);
  }

  usedSoFar(): undefined {
    return undefined;
  }

  refused(answer: RefusedAnswer): WireAnswer {
    const { readErrorText, writeRefusal } = this.#parts;
    return translateRefusal(answer, readErrorText(answer.body), writeRefusal);
  }

  #fail(reason: Failure): void {
    this.#isEnded = true;
    this.#chunks = [];
    this.#parts.out.fail(reason);
  }
}

/** A reader of a whole chat answer. */
export function createWholeChatReader(parts: TranslationParts): TranslatingWhole {
  const { server, caller, request, context, out } = parts;
  return new TranslatingWhole({
    out,
    translate: (body) => {
      const answer = server.readChatAnswer(body);
      if (isFailure(answer)) return answer;
      const usage = answer.usage ?? estimateUsage(context.estimate, contentBytes(answer));
      return { answer: caller.writeChatAnswer({ ...answer, usage }, request, context), usage };
    },
    readErrorText: server.readErrorText,
    writeRefusal: caller.writeRefusal,
  });
}

function contentBytes({ content }: ChatAnswer): number {
  let bytes = 0;
  for (const part of content) {
    bytes += Buffer.byteLength(part.kind === "tool_call" ? part.name + part.arguments : part.text);
  }
  return bytes;
}
