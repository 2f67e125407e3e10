/** An `AnswerSink` that keeps what it is told, and holds the contract: nothing after the end, one commit before content. */
import assert from "node:assert/strict";
import type { Failure } from "../../src/core/errors.ts";
import type { AnswerReader, AnswerSink, TokenUsage } from "../../src/core/forward.ts";
import type { HeaderList } from "../../src/core/headers.ts";

/** What became of an answer. */
export class RecordingSink implements AnswerSink {
  status = 0;
  headers: HeaderList = [];
  readonly #before: Uint8Array[] = [];
  readonly #after: Uint8Array[] = [];
  isCommitted = false;
  tokens: TokenUsage | undefined;
  ended = false;
  /** Of `end`. */
  broken: Failure | undefined;
  /** Of `fail`. */
  failed: Failure | undefined;

  /** All bytes, as text. */
  get text(): string {
    return Buffer.concat([...this.#before, ...this.#after]).toString("utf8");
  }

  /** The bytes before `commit`, as text. */
  get held(): string {
    return Buffer.concat(this.#before).toString("utf8");
  }

  /** The server-sent events' data: parsed where it is JSON. */
  get events(): unknown[] {
    return this.text
      .split("\n")
      .filter((line) => line.startsWith("data: "))
      .map((line) => (line === "data: [DONE]" ? "[DONE]" : (JSON.parse(line.slice(6)) as unknown)));
  }

  head(status: number, headers: HeaderList): void {
    this.#open();
    this.status = status;
    this.headers = headers;
  }

  data(chunk: Uint8Array): void {
    this.#open();
    assert.notEqual(this.status, 0, "data before head");
    (this.isCommitted ? this.#after : this.#before).push(new Uint8Array(chunk));
  }

  commit(): void {
    this.#open();
    assert.equal(this.isCommitted, false, "committed twice");
    this.isCommitted = true;
  }

  usage(tokens: TokenUsage): void {
    this.#open();
    this.tokens = tokens;
  }

  end(failed?: Failure): void {
    this.#open();
    assert.equal(this.isCommitted, true, "ended without a commit");
    this.ended = true;
    this.broken = failed;
  }

  fail(reason: Failure): void {
    this.#open();
    this.failed = reason;
  }

  #open(): void {
    assert.equal(this.ended || this.failed !== undefined, false, "called after its end");
  }
}

/** How the server's bytes end. */
export type Ending = "end" | Failure;

/** Gives a reader a streamed answer in these pieces. */
export function play(
  reader: AnswerReader,
  pieces: readonly Uint8Array[],
  sink: RecordingSink,
  options: { readonly type?: string; readonly ending?: Ending } = {},
): void {
  const { type = "text/event-stream", ending = "end" } = options;
  reader.head(200, { "content-type": type });
  for (const piece of pieces) if (sink.failed === undefined) reader.data(piece);
  if (sink.failed !== undefined) return;
  if (ending === "end") reader.end();
  else reader.cut(ending);
}

/** Every way to cut the bytes in two, all of them one by one, and not at all. */
export function* everyCut(text: string): Generator<Uint8Array[]> {
  const bytes = new Uint8Array(Buffer.from(text));
  for (let at = 1; at < bytes.length; at++) yield [bytes.slice(0, at), bytes.slice(at)];
  yield Array.from(bytes, (byte) => Uint8Array.of(byte));
  yield [bytes];
}
