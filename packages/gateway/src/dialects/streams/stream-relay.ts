/**
 * Passes a stream on whose server speaks the caller's dialect: the bytes as they came, frame by frame,
 * so that what is written after a break stands on its own. Only what the core must know is looked for.
 */
import { failure, type Failure } from "../../core/errors.ts";
import type {
  AnswerReader,
  AnswerSink,
  TokenEstimate,
  TokenUsage,
  RefusedAnswer,
} from "../../core/forward.ts";
import { headerValue, type HeaderList, type HeaderMap } from "../../core/headers.ts";
import type { WireAnswer } from "../../core/request.ts";
import { estimateUsage, partialUsage } from "./estimate-tokens.ts";
import type { Frame, FrameHandler, FrameReader } from "./frame.ts";

/** What a frame is to the relay: any of these, added up. */
export const frameMarks = {
  /** Has text, reasoning or a tool call. */
  content: 1,
  /** The dialect's last word: the stream is complete. */
  last: 2,
  /** Not to be passed on. */
  hidden: 4,
  /** An error, or unreadable: `failure` of the inspector says what. Passed on unless also `hidden`. */
  failed: 8,
  /** Passed on without the bytes that `trimmed` of the inspector tells. */
  trimmed: 16,
} as const;

/** Looks at the frames of one stream. */
export interface FrameInspector {
  /** A sum of `frameMarks`. Called for frames with data only. */
  inspect(frame: Frame): number;
  /** Set by the frame marked `failed`. */
  readonly failure: Failure | undefined;
  /** What the server has told so far; undefined: nothing. */
  readonly usage: TokenUsage | undefined;
  /** Bytes of text, reasoning and tool arguments seen. */
  readonly contentBytes: number;
  /** Of the frame marked `trimmed`: the part of its bytes that is left out. */
  readonly trimmed?: ByteRange;
}

/** The bytes from `start` to before `end`. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** A dialect's streams. */
export interface StreamWords {
  /** What `content-type` begins with. */
  readonly contentType: string;
  /** Head of the answer, with its content type. */
  readonly headers: HeaderList;
  readonly createReader: (handler: FrameHandler) => FrameReader;
  /** The event that tells a caller of a failure. */
  readonly writeError: (reason: Failure) => Uint8Array;
}

/** What one relay is made from. */
export interface RelayParts {
  readonly words: StreamWords;
  readonly inspector: FrameInspector;
  readonly out: AnswerSink;
  readonly estimate: TokenEstimate;
  /** Headers of the server's that go on to the caller, in lower case. */
  readonly passedHeaders: readonly string[];
  readonly refused: AnswerReader["refused"];
}

/** Relays one stream. */
export class StreamRelay implements AnswerReader, FrameHandler {
  readonly #parts: RelayParts;
  readonly #reader: FrameReader;
  /** Frames of one chunk that are passed on in one piece. */
  #run: Uint8Array | undefined;
  #runStart = 0;
  #runEnd = 0;
  #isCommitted = false;
  #isComplete = false;
  #isEnded = false;

  constructor(parts: RelayParts) {
    this.#parts = parts;
    this.#reader = parts.words.createReader(this);
  }

  head(status: number, headers: HeaderMap): void {
    const { words, out, passedHeaders } = this.#parts;
    const type = headerValue(headers, "content-type");
    if (type !== undefined && !type.toLowerCase().startsWith(words.contentType)) {
      return this.#fail(unexpectedType(words.contentType, type));
    }
    out.head(status, withPassed(words.headers, headers, passedHeaders));
  }

  data(chunk: Uint8Array): void {
    if (this.#isEnded) return;
    this.#reader.push(chunk);
    if (!this.#isEnded) this.#flush();
  }

  end(): void {
    if (this.#isEnded) return;
    this.#reader.end();
    if (this.#isEnded) return;
    if (!this.#isComplete) return this.#fail(unfinished());
    this.#flush();
    this.#finish(undefined);
  }

  cut(reason: Failure): void {
    if (this.#isEnded) return;
    // What broke behind the last word is nobody's loss.
    if (this.#isComplete) return this.#finish(undefined);
    this.#fail(reason);
  }

  usedSoFar(): TokenUsage {
    const { inspector, estimate } = this.#parts;
    return partialUsage(inspector.usage, estimateUsage(estimate, inspector.contentBytes));
  }

  refused(answer: RefusedAnswer): WireAnswer {
    return this.#parts.refused(answer);
  }

  frame(frame: Frame): void {
    // The rest of a line end that was cut within the last word still belongs to it.
    if (this.#isComplete) return frame.dataEnd === 0 ? this.#pass(frame) : undefined;
    const marks = frame.dataEnd === 0 ? 0 : this.#parts.inspector.inspect(frame);
    if ((marks & frameMarks.failed) !== 0) return this.#fail(this.#parts.inspector.failure, frame, marks);
    if ((marks & (frameMarks.content | frameMarks.last)) !== 0 && !this.#isCommitted) this.#commit();
    if ((marks & frameMarks.hidden) === 0) {
      if ((marks & frameMarks.trimmed) === 0) this.#pass(frame);
      else this.#passTrimmed(frame, this.#parts.inspector.trimmed);
    }
    if ((marks & frameMarks.last) !== 0) this.#isComplete = true;
  }

  tooLong(maxBytes: number): void {
    this.#fail(failure("bad_upstream_answer", `The server sent an event of more than ${maxBytes} bytes`));
  }

  #commit(): void {
    this.#flush();
    this.#isCommitted = true;
    this.#parts.out.commit();
  }

  #pass({ bytes, start, end }: Frame): void {
    this.#passBytes(bytes, start, end);
  }

  #passTrimmed({ bytes, start, end }: Frame, left: ByteRange | undefined): void {
    this.#passBytes(bytes, start, left?.start ?? end);
    if (left !== undefined) this.#passBytes(bytes, left.end, end);
  }

  #passBytes(bytes: Uint8Array, start: number, end: number): void {
    if (this.#run === bytes && this.#runEnd === start) {
      this.#runEnd = end;
      return;
    }
    this.#flush();
    this.#run = bytes;
    this.#runStart = start;
    this.#runEnd = end;
  }

  #flush(): void {
    const run = this.#run;
    if (run === undefined) return;
    this.#run = undefined;
    const isWhole = this.#runStart === 0 && this.#runEnd === run.length;
    this.#parts.out.data(isWhole ? run : run.subarray(this.#runStart, this.#runEnd));
  }

  /** Before the commit the answer is dropped; after it the caller is told by an event: the server's own where it sent one. */
  #fail(reason: Failure = unfinished(), frame?: Frame, marks = 0): void {
    this.#reader.stop();
    if (!this.#isCommitted) {
      this.#isEnded = true;
      return this.#parts.out.fail(reason);
    }
    const isOwn = frame !== undefined && !frame.isTail && (marks & frameMarks.hidden) === 0;
    if (isOwn) this.#pass(frame);
    this.#flush();
    if (!isOwn) this.#parts.out.data(this.#parts.words.writeError(reason));
    this.#finish(reason);
  }

  #finish(failed: Failure | undefined): void {
    const { inspector, estimate, out } = this.#parts;
    this.#isEnded = true;
    const told = failed === undefined ? inspector.usage : this.usedSoFar();
    out.usage(told ?? estimateUsage(estimate, inspector.contentBytes));
    out.end(failed);
  }
}

/** The server's bytes ended before its dialect's last word. */
export function unfinished(): Failure {
  return failure("bad_upstream_answer", "The server's answer broke off before its end");
}

/** The server answered in another form than it was asked for. */
export function unexpectedType(wanted: string, got: string): Failure {
  return failure(
    "bad_upstream_answer",
    `The server answered ${got.slice(0, 80)} where ${wanted} was expected`,
  );
}

/** The dialect's own headers, and those of the server's that are let through. */
export function withPassed(own: HeaderList, headers: HeaderMap, passed: readonly string[]): HeaderList {
  let list: (readonly [string, string])[] | undefined;
  for (const name of passed) {
    const value = headerValue(headers, name);
    if (value === undefined) continue;
    list ??= [...own];
    list.push([name, value]);
  }
  return list ?? own;
}
