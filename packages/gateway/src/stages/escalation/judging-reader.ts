/** Stands between a server and the reader of its answer: looks at what comes, and takes out what the caller did not ask for. */
import { failure, type Failure } from "../../core/errors.ts";
import type { AnswerReader, TokenUsage, RefusedAnswer } from "../../core/forward.ts";
import { headerValue, type HeaderMap } from "../../core/headers.ts";
import type { WireAnswer } from "../../core/request.ts";
import { isJsonObject } from "../../dialects/chat/json-object.ts";
import { asBuffer } from "../../dialects/json/parse-json.ts";
import type { Frame, FrameHandler, FrameReader } from "../../dialects/streams/frame.ts";
import { LineReader } from "../../dialects/streams/line-reader.ts";
import { SseReader } from "../../dialects/streams/sse-reader.ts";
import { takeSignals, type AnswerSignals, type SignalWords } from "./answer-signals.ts";

/** Longest whole answer that is looked into, bytes: parsing it takes a few milliseconds. */
const maxWholeBytes = 262_144;

/** What one answer is read with. */
export interface JudgingParts {
  readonly reader: AnswerReader;
  readonly words: SignalWords;
  readonly strips: boolean;
  readonly signals: AnswerSignals;
  /** Something of the answer has come: the last one of which something comes is the one that is given. */
  readonly onData: (signals: AnswerSignals) => void;
}

/** Wraps a reader and is one. */
export class JudgingReader implements AnswerReader, FrameHandler {
  readonly #parts: JudgingParts;
  /** Of a stream. */
  #frames: FrameReader | undefined;
  #isSse = false;
  /** Of a whole answer; undefined once it is passed on as it comes. */
  #whole: Uint8Array[] | undefined = [];
  #wholeBytes = 0;
  #isOver = false;

  constructor(parts: JudgingParts) {
    this.#parts = parts;
  }

  get isTranslating(): boolean {
    return this.#parts.reader.isTranslating ?? false;
  }

  head(status: number, headers: HeaderMap): void {
    const type = headerValue(headers, "content-type")?.toLowerCase() ?? "";
    this.#isSse = type.startsWith("text/event-stream");
    if (this.#isSse) this.#frames = new SseReader(this);
    else if (type.startsWith("application/x-ndjson")) this.#frames = new LineReader(this);
    this.#parts.reader.head(status, headers);
  }

  data(chunk: Uint8Array): void {
    if (this.#isOver) return;
    this.#parts.onData(this.#parts.signals);
    if (this.#frames !== undefined) return this.#frames.push(chunk);
    const { reader, signals } = this.#parts;
    if (this.#whole === undefined) return reader.data(chunk);
    this.#whole.push(chunk);
    this.#wholeBytes += chunk.length;
    if (this.#wholeBytes <= maxWholeBytes) return;
    signals.isPartial = true;
    const pieces = this.#whole;
    this.#whole = undefined;
    for (const piece of pieces) reader.data(piece);
  }

  end(): void {
    if (this.#isOver) return;
    this.#frames?.end();
    if (this.#frames === undefined && this.#whole !== undefined) this.#read(this.#whole);
    this.#parts.reader.end();
  }

  cut(reason: Failure): void {
    if (!this.#isOver) this.#parts.reader.cut(reason);
  }

  usedSoFar(): TokenUsage | undefined {
    return this.#parts.reader.usedSoFar();
  }

  refused(answer: RefusedAnswer): WireAnswer {
    return this.#parts.reader.refused(answer);
  }

  frame(frame: Frame): void {
    const { bytes, start, end, data, dataStart, dataEnd } = frame;
    const { reader } = this.#parts;
    const written = dataEnd === dataStart ? undefined : this.#judge(data.subarray(dataStart, dataEnd));
    if (written === undefined) return reader.data(bytes.subarray(start, end));
    reader.data(Buffer.from(this.#isSse ? `data: ${written}\n\n` : `${written}\n`));
  }

  tooLong(maxBytes: number): void {
    this.#isOver = true;
    const text = `The server sent an event of more than ${maxBytes} bytes`;
    this.#parts.reader.cut(failure("bad_upstream_answer", text));
  }

  #read(pieces: readonly Uint8Array[]): void {
    const { reader } = this.#parts;
    const written = this.#judge(Buffer.concat(pieces));
    if (written !== undefined) return reader.data(Buffer.from(written));
    for (const piece of pieces) reader.data(piece);
  }

  /** The text without what the caller did not ask for; undefined: it stays as it is. */
  #judge(bytes: Uint8Array): string | undefined {
    let value: unknown;
    try {
      value = JSON.parse(asBuffer(bytes).toString());
    } catch {
      return undefined;
    }
    return isJsonObject(value) && takeSignals(value, this.#parts) ? JSON.stringify(value) : undefined;
  }
}
