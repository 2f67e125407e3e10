/** Reads an answer of which it is not known before its head whether it is streamed. */
import type { Failure } from "../../core/errors.ts";
import type { AnswerReader, TokenUsage } from "../../core/forward.ts";
import { headerValue, type HeaderMap } from "../../core/headers.ts";
import type { WireAnswer } from "../../core/wire-answer.ts";

/** What one is made from. */
export interface ReaderByTypeParts {
  /** What the `content-type` of a stream begins with. */
  readonly streamType: string;
  /** The answer is, or is not, a stream. Called once. */
  readonly create: (isStream: boolean) => AnswerReader;
  readonly refused: AnswerReader["refused"];
}

/** Reads one answer. */
export class ReaderByType implements AnswerReader {
  readonly #parts: ReaderByTypeParts;
  #reader: AnswerReader | undefined;

  constructor(parts: ReaderByTypeParts) {
    this.#parts = parts;
  }

  head(status: number, headers: HeaderMap): void {
    const { streamType, create } = this.#parts;
    const type = headerValue(headers, "content-type") ?? "";
    this.#reader = create(type.toLowerCase().startsWith(streamType));
    this.#reader.head(status, headers);
  }

  data(chunk: Uint8Array): void {
    this.#reader?.data(chunk);
  }

  end(): void {
    this.#reader?.end();
  }

  cut(reason: Failure): void {
    this.#reader?.cut(reason);
  }

  usedSoFar(): TokenUsage | undefined {
    return this.#reader?.usedSoFar();
  }

  refused(answer: Parameters<AnswerReader["refused"]>[0]): WireAnswer {
    return this.#parts.refused(answer);
  }
}
