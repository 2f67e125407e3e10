/** Passes an answer on that is not streamed and whose server speaks the caller's dialect: the bytes as they came. */
import type { Failure } from "../../core/errors.ts";
import type { AnswerReader, AnswerSink, TokenUsage, RefusedAnswer } from "../../core/forward.ts";
import { headerValue, type HeaderList, type HeaderMap } from "../../core/headers.ts";
import type { WireAnswer } from "../../core/request.ts";
import { unexpectedType, withPassed } from "./stream-relay.ts";

/** What one relay is made from. */
export interface WholeRelayParts {
  readonly out: AnswerSink;
  /** Headers of the server's that go on to the caller, in lower case, besides the content type. */
  readonly passedHeaders: readonly string[];
  /** Reads usage from the last bytes of the answer, at most `tailBytes`, or guesses it from the answer's length. */
  readonly readUsage: (tail: Uint8Array, answerBytes: number) => TokenUsage;
  readonly refused: AnswerReader["refused"];
}

/** So much of an answer's end is looked at for usage: all dialects tell it behind the content. */
const tailBytes = 8192;

const json: HeaderList = [["content-type", "application/json"]];

/** Relays one whole answer. The answer is committed with its head. */
export class WholeRelay implements AnswerReader {
  readonly #parts: WholeRelayParts;
  /** The chunks that hold the last `tailBytes` of the answer. */
  #last: Uint8Array[] = [];
  #lastBytes = 0;
  #bytes = 0;
  #isEnded = false;

  constructor(parts: WholeRelayParts) {
    this.#parts = parts;
  }

  head(status: number, headers: HeaderMap): void {
    const { out, passedHeaders } = this.#parts;
    const type = headerValue(headers, "content-type");
    if (type?.toLowerCase().startsWith("text/event-stream") === true) {
      this.#isEnded = true;
      return out.fail(unexpectedType("application/json", type));
    }
    const own: HeaderList = type === undefined ? json : [["content-type", type]];
    out.head(status, withPassed(own, headers, passedHeaders));
    out.commit();
  }

  data(chunk: Uint8Array): void {
    if (this.#isEnded) return;
    this.#bytes += chunk.length;
    this.#last.push(chunk);
    this.#lastBytes += chunk.length;
    const first = this.#last[0];
    if (first !== undefined && this.#lastBytes - first.length >= tailBytes) {
      this.#last.shift();
      this.#lastBytes -= first.length;
    }
    this.#parts.out.data(chunk);
  }

  end(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    const { out } = this.#parts;
    out.usage(this.#usage());
    out.end();
  }

  cut(reason: Failure): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#parts.out.fail(reason);
  }

  usedSoFar(): TokenUsage {
    return this.#usage();
  }

  refused(answer: RefusedAnswer): WireAnswer {
    return this.#parts.refused(answer);
  }

  #usage(): TokenUsage {
    const [only] = this.#last;
    const tail = only !== undefined && this.#last.length === 1 ? only : Buffer.concat(this.#last);
    const from = Math.max(0, tail.length - tailBytes);
    return this.#parts.readUsage(from === 0 ? tail : tail.subarray(from), this.#bytes);
  }
}
