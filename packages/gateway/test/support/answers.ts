/** For tests of dialects: a sink that keeps what an answer's reader tells it, and bytes cut at every place. */
import { createManualClock } from "../../src/testing.ts";
import type { Failure } from "../../src/core/errors.ts";
import type { AnswerReader, AnswerSink, TokenUsage } from "../../src/core/forward.ts";
import type { HeaderList } from "../../src/core/headers.ts";
import type { AnswerContext } from "../../src/dialects/chat/codec.ts";

/** What came of an answer. */
export class KeptAnswer implements AnswerSink {
  status: number | undefined;
  headers: HeaderList = [];
  text = "";
  /** What had been sent when the answer was committed; undefined: it was not. */
  committedAfter: string | undefined;
  tokens: TokenUsage | undefined;
  ended = false;
  failure: Failure | undefined;

  head(status: number, headers: HeaderList): void {
    this.status = status;
    this.headers = headers;
  }

  data(chunk: Uint8Array): void {
    this.text += Buffer.from(chunk).toString("latin1");
  }

  commit(): void {
    this.committedAfter = this.text;
  }

  usage(tokens: TokenUsage): void {
    this.tokens = tokens;
  }

  end(failed?: Failure): void {
    this.ended = true;
    this.failure = failed;
  }

  fail(reason: Failure): void {
    this.failure = reason;
  }

  /** What was sent, as UTF-8. */
  get sent(): string {
    return Buffer.from(this.text, "latin1").toString("utf8");
  }

  /** Lines of JSON. */
  get lines(): unknown[] {
    return this.sent
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as unknown);
  }

  /** The data of server-sent events. */
  get events(): unknown[] {
    return this.sent
      .split("\n")
      .filter((line) => line.startsWith("data: {"))
      .map((line) => JSON.parse(line.slice(6)) as unknown);
  }
}

/** How a server's bytes end. */
export type BytesEnd = "end" | { readonly cut: Failure };

/** Feeds an answer to a reader, cut in two at `at`; -1: a byte at a time. */
export function feed(
  make: (out: KeptAnswer) => AnswerReader,
  answer: { readonly type: string; readonly body: string; readonly at?: number; readonly end?: BytesEnd },
): KeptAnswer {
  const kept = new KeptAnswer();
  const reader = make(kept);
  const bytes = Buffer.from(answer.body);
  const { at = bytes.length, end = "end" } = answer;
  const chunks =
    at < 0 ? [...bytes].map((byte) => Buffer.from([byte])) : [bytes.subarray(0, at), bytes.subarray(at)];
  reader.head(200, { "content-type": answer.type });
  for (const chunk of chunks) {
    if (kept.failure !== undefined && !kept.ended) return kept;
    if (chunk.length > 0) reader.data(chunk);
  }
  if (kept.failure !== undefined && !kept.ended) return kept;
  if (end === "end") reader.end();
  else reader.cut(end.cut);
  return kept;
}

/** Every place at which the bytes of a text can be cut, and -1 for all of them. */
export function cutsOf(text: string): readonly number[] {
  return Array.from({ length: Buffer.byteLength(text) + 2 }, (_, i) => i - 1);
}

/** The context of an answer that nobody's clock moves. */
export function testContext(model = "m"): AnswerContext {
  return {
    requestId: "request-1",
    model,
    estimate: { promptTokens: 7, maxCompletionTokens: undefined },
    clock: createManualClock(),
    receivedAt: 0,
  };
}
