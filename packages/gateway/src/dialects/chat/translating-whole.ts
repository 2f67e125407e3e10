/** Reads one server's whole answer in its dialect and writes it in the caller's. */
import { failure, isFailure, type Failure } from "../../core/errors.ts";
import type { AnswerReader, AnswerSink, RefusedAnswer } from "../../core/forward.ts";
import type { HeaderMap } from "../../core/headers.ts";
import type { WireAnswer } from "../../core/request.ts";
import { translateRefusal, type RefusalWriter } from "./refusal.ts";
import { translateChatAnswer, type TranslatedAnswer } from "./translate.ts";
import type { TranslationParts } from "./translating-stream.ts";

/** Longest answer that is translated as one, bytes. */
const maxTranslatedBytes = 32 * 1024 * 1024;

/** What a translation of a whole answer is made from. */
export interface WholeTranslationParts {
  readonly out: AnswerSink;
  readonly translate: (body: Uint8Array) => TranslatedAnswer | Failure;
  /** Translates an answer that is too large for the event loop; undefined: it is not. The promise never rejects. */
  readonly translateLarge: (
    pieces: readonly Uint8Array[],
    bytes: number,
  ) => Promise<TranslatedAnswer | Failure> | undefined;
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
  isTranslating = false;

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
    const pieces = this.#chunks;
    this.#chunks = [];
    const large = this.#parts.translateLarge(pieces, this.#bytes);
    if (large === undefined) return this.#write(this.#parts.translate(joined(pieces)));
    this.isTranslating = true;
    void large.then((translated) => {
      this.isTranslating = false;
      if (!this.#isEnded) this.#write(translated);
    });
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

  #write(translated: TranslatedAnswer | Failure): void {
    if (isFailure(translated)) return this.#fail(translated);
    this.#isEnded = true;
    const { answer, usage } = translated;
    const { out } = this.#parts;
    out.head(answer.status, answer.headers);
    out.commit();
    for (const part of answer.body) out.data(part);
    out.usage(usage);
    out.end();
  }

  #fail(reason: Failure): void {
    this.#isEnded = true;
    this.#chunks = [];
    this.#parts.out.fail(reason);
  }
}

/** A reader of a whole chat answer. */
export function createWholeChatReader(
  parts: TranslationParts,
  translateLarge: WholeTranslationParts["translateLarge"] = () => undefined,
): TranslatingWhole {
  const { server, caller, out } = parts;
  return new TranslatingWhole({
    out,
    translate: (body) => translateChatAnswer(body, parts),
    translateLarge,
    readErrorText: server.readErrorText,
    writeRefusal: caller.writeRefusal,
  });
}

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const [only] = pieces;
  return only !== undefined && pieces.length === 1 ? only : Buffer.concat(pieces);
}
