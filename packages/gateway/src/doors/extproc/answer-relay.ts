/** Runs a server's answer through the dialect that reads it, on its way through Envoy. */
import type { Failure } from "../../core/errors.ts";
import type { AnswerReader, AnswerSink, TokenUsage } from "../../core/forward.ts";
import type { HeaderList, HeaderMap } from "../../core/headers.ts";
import type { WireAnswer } from "../../core/wire-answer.ts";

/**
 * What becomes of the answer's bytes.
 * - `watched`: they go on as they came; the reader only tells what was used.
 * - `rewritten`: what the reader writes goes on.
 */
export type RelayMode = "watched" | "rewritten";

/** What a relay is made from. */
export interface RelayOptions {
  /** Hears of an answer that a thread had to finish: all of it is out, or has failed. */
  readonly onLateEnd: () => void;
}

/** One answer. Its reader is given by `begin`, since the reader in turn needs the relay as its sink. */
export class AnswerRelay implements AnswerSink {
  /** As far as it is known. */
  tokens: TokenUsage | undefined;
  /** What the reader made of the head. */
  headers: HeaderList = [];
  /** The server was asked in another API than the caller's. */
  isTranslated = false;
  /** Nothing good can be made of the answer. */
  failed: Failure | undefined;
  readonly #onLateEnd: () => void;
  #mode: RelayMode = "watched";
  #reader: AnswerReader | undefined;
  #out: Uint8Array[] = [];
  #state: "reading" | "late" | "ended" = "reading";

  constructor({ onLateEnd }: RelayOptions) {
    this.#onLateEnd = onLateEnd;
  }

  /** Set once, before the first byte of the answer. */
  begin(reader: AnswerReader, mode: RelayMode): void {
    this.#reader = reader;
    this.#mode = mode;
  }

  /** True where the answer may have other bytes than the server's. */
  get changesBytes(): boolean {
    return this.#mode === "rewritten";
  }

  /** True while a thread still works on the end of the answer. */
  get isLate(): boolean {
    return this.#state === "late";
  }

  /** The first message of an answer. False: the reader can do nothing with it, and it is to be passed on as it is. */
  readHead(status: number, headers: HeaderMap): boolean {
    this.#reader?.head(status, headers);
    return this.failed === undefined;
  }

  /** An answer that is no 2xx, in the caller's API; instead of all else. Undefined: nobody reads it. */
  refused(answer: Parameters<AnswerReader["refused"]>[0]): WireAnswer | undefined {
    return this.#reader?.refused(answer);
  }

  /** The bytes that go on for a piece of the answer. */
  read(chunk: Uint8Array): readonly Uint8Array[] {
    if (chunk.length > 0 && this.failed === undefined && this.#state === "reading") this.#reader?.data(chunk);
    return this.#mode === "rewritten" ? this.#take() : [chunk];
  }

  /** The server has ended its answer in order: what is left of it. */
  readEnd(): readonly Uint8Array[] {
    if (this.failed === undefined && this.#state === "reading") {
      this.#reader?.end();
      if (this.#state === "reading" && this.#reader?.isTranslating === true) this.#state = "late";
    }
    return this.isLate ? [] : this.rest();
  }

  /** What a late answer has brought. */
  rest(): readonly Uint8Array[] {
    return this.#mode === "rewritten" ? this.#take() : [];
  }

  /** The answer broke off. Nothing follows. */
  cut(): void {
    this.#state = "ended";
    this.tokens ??= this.#reader?.usedSoFar();
  }

  head(_status: number, headers: HeaderList): void {
    this.headers = headers;
  }

  data(chunk: Uint8Array): void {
    if (this.#mode === "rewritten") this.#out.push(chunk);
  }

  commit(): void {}

  usage(tokens: TokenUsage): void {
    this.tokens = tokens;
  }

  end(_failed?: Failure): void {
    this.#ended();
  }

  fail(reason: Failure): void {
    this.failed = reason;
    this.#ended();
  }

  #ended(): void {
    const wasLate = this.#state === "late";
    this.#state = "ended";
    if (wasLate) this.#onLateEnd();
  }

  #take(): readonly Uint8Array[] {
    const out = this.#out;
    this.#out = [];
    return out;
  }
}
