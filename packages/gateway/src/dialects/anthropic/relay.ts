/** How answers of an Anthropic server are passed on to its own callers: what their events mean. */
import { isFailure, type Failure } from "../../core/errors.ts";
import type { TokenEstimate, TokenUsage } from "../../core/forward.ts";
import { isJsonObject } from "../chat/json-object.ts";
import { estimateUsage } from "../streams/estimate-tokens.ts";
import type { Frame } from "../streams/frame.ts";
import { KeyFinder, readCount } from "../streams/key-finder.ts";
import { SseReader, type SseFrame } from "../streams/sse-reader.ts";
import { frameMarks, type FrameInspector, type StreamWords } from "../streams/stream-relay.ts";
import { readObject, toldFailure, UsageReader } from "./answer-parts.ts";
import { writeErrorEvent } from "./errors.ts";
import { eventStreamHeaders } from "./write-answer.ts";

/** Anthropic's streams. */
export const anthropicStream: StreamWords = {
  contentType: "text/event-stream",
  headers: eventStreamHeaders,
  createReader: (handler) => new SseReader(handler),
  writeError: writeErrorEvent,
};

const quote = 0x22;

/** Members of a delta that hold what the model said; a delta has none that a caller or a model names. */
const deltaNames = ["text", "thinking", "partial_json"];

/** One for all streams: an event is looked at without a pause. */
const deltas = new KeyFinder(deltaNames);

/** Looks at the events of one stream: deltas are scanned, the few others parsed. */
export class MessagesInspector implements FrameInspector {
  failure: Failure | undefined;
  contentBytes = 0;
  readonly #usage = new UsageReader();

  get usage(): TokenUsage | undefined {
    return this.#usage.usage;
  }

  inspect(frame: Frame): number {
    // The reader of `anthropicStream` tells events.
    const { event } = frame as SseFrame;
    if (event === "content_block_delta") return this.#delta(frame);
    if (event === "ping" || event === "content_block_stop") return 0;
    const parsed = readObject(frame.data.subarray(frame.dataStart, frame.dataEnd));
    if (isFailure(parsed)) return this.#failed(parsed, frameMarks.hidden);
    const { object } = parsed;
    switch (object["type"]) {
      case "content_block_delta":
        return this.#delta(frame);
      case "message_start":
        if (isJsonObject(object["message"])) this.#usage.read(object["message"]["usage"]);
        return 0;
      case "message_delta":
        this.#usage.read(object["usage"]);
        return 0;
      case "message_stop":
        return frameMarks.last;
      case "error":
        return this.#failed(toldFailure(object), 0);
      default:
        return 0;
    }
  }

  #delta({ data, dataStart, dataEnd }: Frame): number {
    let bytes = 0;
    deltas.begin(data, dataStart, dataEnd);
    while (deltas.next() >= 0) if (data[deltas.valueAt] === quote) bytes += deltas.skipString();
    this.contentBytes += bytes;
    return bytes === 0 ? 0 : frameMarks.content;
  }

  #failed(reason: Failure, marks: number): number {
    this.failure = reason;
    return frameMarks.failed | marks;
  }
}

const wholeNames = [
  "usage",
  "input_tokens",
  "cache_read_input_tokens",
  "cache_creation_input_tokens",
  "output_tokens",
] as const;

const wholeFinder = new KeyFinder(wholeNames);

/** Usage at the end of a whole answer, guessed from its length where the server tells none. */
export function readWholeUsage(tail: Uint8Array, answerBytes: number, estimate: TokenEstimate): TokenUsage {
  let counts: Record<string, number> | undefined;
  wholeFinder.begin(tail, 0, tail.length);
  for (let key = wholeFinder.next(); key >= 0; key = wholeFinder.next()) {
    const name = wholeNames[key] ?? "usage";
    // The last counts: the input of a tool may have members of any name.
    if (name === "usage") counts = {};
    else if (counts !== undefined) counts[name] ??= readCount(tail, wholeFinder.valueAt);
  }
  if (counts === undefined) return estimateUsage(estimate, answerBytes);
  const reader = new UsageReader();
  reader.read(counts);
  return reader.usage ?? estimateUsage(estimate, answerBytes);
}
