/** What the reader of an attempt has written: held back until it is worth committing to, then passed on. */
import type { Failure } from "../../core/errors.ts";
import type { AnswerSink, TokenUsage } from "../../core/forward.ts";
import type { HeaderList } from "../../core/headers.ts";

/** Bytes of an answer that are held back before it is committed to. */
const holdBackBytes = 65_536;

/** Whose answer it is. Called synchronously. */
export interface AnswerOwner {
  /** The first content is about to be written. Once. */
  contentBegins(): void;
  /** From here on every piece is passed on; what was held goes first. Once. */
  opened(): void;
  /** A piece, after `opened`. */
  passed(chunk: Uint8Array): void;
  /** The reader has written its last; with a failure, its dialect's error. */
  written(failed: Failure | undefined): void;
  /** The reader can make nothing good of what the server sent. */
  unreadable(reason: Failure): void;
}

/** The sink of one attempt. */
export class HeldAnswer implements AnswerSink {
  status = 0;
  headers: HeaderList = [];
  tokens: TokenUsage | undefined;
  /** True once pieces are passed on. */
  isOpen = false;
  /** True where it was opened only because more came than can be held back. */
  overflowed = false;
  readonly #owner: AnswerOwner;
  /** Short answers that are not streamed go out in one piece. */
  readonly #opensAtContent: boolean;
  #hasContent = false;
  #pieces: Uint8Array[] = [];
  #bytes = 0;

  constructor(owner: AnswerOwner, options: { readonly opensAtContent: boolean }) {
    this.#owner = owner;
    this.#opensAtContent = options.opensAtContent;
  }

  head(status: number, headers: HeaderList): void {
    this.status = status;
    this.headers = headers;
  }

  data(chunk: Uint8Array): void {
    if (this.isOpen) return this.#owner.passed(chunk);
    this.#pieces.push(chunk);
    this.#bytes += chunk.length;
    if (this.#bytes <= holdBackBytes) return;
    this.overflowed = true;
    this.#open();
  }

  commit(): void {
    if (this.#hasContent) return;
    this.#hasContent = true;
    this.#owner.contentBegins();
    if (this.#opensAtContent && !this.isOpen) this.#open();
  }

  usage(tokens: TokenUsage): void {
    this.tokens = tokens;
  }

  end(failed?: Failure): void {
    this.#owner.written(failed);
  }

  fail(reason: Failure): void {
    this.#owner.unreadable(reason);
  }

  /** Hands out what is held back. */
  take(): readonly Uint8Array[] {
    const pieces = this.#pieces;
    this.#pieces = [];
    this.#bytes = 0;
    return pieces;
  }

  #open(): void {
    this.isOpen = true;
    this.#owner.opened();
  }
}
