/** How answers of an Ollama server are passed on to its own callers: what their lines mean, without parsing them. */
import { isFailure, type Failure } from "../../core/errors.ts";
import type { TokenEstimate, TokenUsage } from "../../core/forward.ts";
import { estimateUsage } from "../streams/estimate-tokens.ts";
import type { Frame } from "../streams/frame.ts";
import { endOfString, KeyFinder, readCount } from "../streams/key-finder.ts";
import { LineReader } from "../streams/line-reader.ts";
import { frameMarks, type FrameInspector, type StreamWords } from "../streams/stream-relay.ts";
import { asBuffer } from "../json/parse-json.ts";
import { readPiece, toldFailure, unreadable } from "./answer-parts.ts";
import { ndjsonHeaders, writeErrorLine } from "./write-answer.ts";

/** Ollama's streams. */
export const ollamaStream: StreamWords = {
  contentType: "application/x-ndjson",
  headers: ndjsonHeaders,
  createReader: (handler) => new LineReader(handler),
  writeError: writeErrorLine,
};

const names = [
  "content",
  "response",
  "thinking",
  "image",
  "tool_calls",
  "done",
  "error",
  "prompt_eval_count",
  "eval_count",
] as const;

/** One for all streams: a line is looked at without a pause. */
const finder = new KeyFinder(names);

const quote = 0x22;

/** Looks at the lines of one stream. */
export class OllamaInspector implements FrameInspector {
  failure: Failure | undefined;
  usage: TokenUsage | undefined;
  contentBytes = 0;
  #marks = 0;
  #promptTokens = 0;
  #completionTokens = 0;
  #hasCounts = false;

  inspect({ data, dataStart, dataEnd }: Frame): number {
    if (data[dataStart] !== 0x7b || data[dataEnd - 1] !== 0x7d) return this.#failed(unreadable());
    this.#marks = 0;
    finder.begin(data, dataStart, dataEnd);
    for (let key = finder.next(); key >= 0; key = finder.next()) {
      const name = names[key];
      // The arguments of a call may have members of any name.
      if (name === "tool_calls") return this.#parse(data.subarray(dataStart, dataEnd));
      this.#member(name, data, dataEnd);
    }
    if ((this.#marks & frameMarks.last) !== 0) this.#count();
    return this.#marks;
  }

  #member(name: (typeof names)[number] | undefined, data: Uint8Array, end: number): void {
    const at = finder.valueAt;
    switch (name) {
      case "content":
      case "response":
      case "thinking":
      case "image":
        if (data[at] === quote) this.#text(finder.skipString());
        return;
      case "done":
        if (data[at] === 0x74) this.#marks |= frameMarks.last;
        return;
      case "error":
        if (data[at] === quote) this.#told(data, at, end);
        return;
      case "prompt_eval_count":
        this.#promptTokens = readCount(data, at);
        this.#hasCounts = true;
        return;
      case "eval_count":
        this.#completionTokens = readCount(data, at);
        this.#hasCounts = true;
        return;
      default:
    }
  }

  #text(bytes: number): void {
    if (bytes === 0) return;
    this.contentBytes += bytes;
    this.#marks |= frameMarks.content;
  }

  /** The server's own error line goes on to the caller. */
  #told(data: Uint8Array, at: number, end: number): void {
    const close = endOfString(data, at + 1, end);
    this.failure = toldFailure(asBuffer(data).toString("utf8", at + 1, close));
    this.#marks |= frameMarks.failed;
  }

  #parse(bytes: Uint8Array): number {
    const piece = readPiece(bytes);
    if (isFailure(piece)) return this.#failed(piece);
    let marks = piece.isDone ? frameMarks.last : 0;
    for (const call of piece.calls) this.contentBytes += call.arguments.length + call.name.length;
    this.contentBytes += piece.text.length + piece.thinking.length;
    if (piece.calls.length > 0 || piece.text !== "" || piece.thinking !== "") marks |= frameMarks.content;
    if (piece.usage !== undefined) this.usage = piece.usage;
    return marks;
  }

  #count(): void {
    if (!this.#hasCounts) return;
    this.usage = {
      promptTokens: this.#promptTokens,
      cachedTokens: 0,
      completionTokens: this.#completionTokens,
      estimated: false,
    };
  }

  #failed(reason: Failure): number {
    this.failure = reason;
    return frameMarks.failed | frameMarks.hidden;
  }
}

const wholeFinder = new KeyFinder(["prompt_eval_count", "eval_count"]);

/** Usage at the end of a whole answer, guessed from its length where the server tells none. */
export function readWholeUsage(tail: Uint8Array, answerBytes: number, estimate: TokenEstimate): TokenUsage {
  let promptTokens = 0;
  let completionTokens = 0;
  let isTold = false;
  wholeFinder.begin(tail, 0, tail.length);
  for (let key = wholeFinder.next(); key >= 0; key = wholeFinder.next()) {
    isTold = true;
    const count = readCount(tail, wholeFinder.valueAt);
    if (key === 0) promptTokens = count;
    else completionTokens = count;
  }
  return isTold
    ? { promptTokens, cachedTokens: 0, completionTokens, estimated: false }
    : estimateUsage(estimate, answerBytes);
}
