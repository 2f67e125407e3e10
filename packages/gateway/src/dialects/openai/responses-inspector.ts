/** What the events of `/v1/responses` mean, told by their names. */
import { failure, type Failure } from "../../core/errors.ts";
import type { TokenUsage } from "../../core/forward.ts";
import { asBuffer } from "../json/parse-json.ts";
import type { Frame } from "../streams/frame.ts";
import { KeyFinder } from "../streams/key-finder.ts";
import { frameMarks, type FrameInspector } from "../streams/stream-relay.ts";
import { isDone, malformedEvent } from "./chat-inspector.ts";
import { readOpenAiError } from "./openai-errors.ts";
import { readUsage } from "./read-usage.ts";

/** One for all streams: an event is looked at without a pause. */
const delta = new KeyFinder(["delta"]);

/** Looks at the events of one stream. */
export class ResponsesInspector implements FrameInspector {
  failure: Failure | undefined;
  usage: TokenUsage | undefined;
  contentBytes = 0;

  inspect(frame: Frame): number {
    const { data, dataStart, dataEnd } = frame;
    if (isDone(data, dataStart, dataEnd)) return 0;
    if (data[dataStart] !== 0x7b || data[dataEnd - 1] !== 0x7d) {
      this.failure = malformedEvent();
      return frameMarks.failed | frameMarks.hidden;
    }
    const event = frame.event === undefined || frame.event === "" ? typeOf(frame) : frame.event;
    if (event.endsWith(".delta")) return this.#content(frame);
    switch (event) {
      case "response.output_item.done":
        return frameMarks.content;
      case "response.completed":
      case "response.incomplete":
        this.usage = readUsage(data.subarray(dataStart, dataEnd));
        return frameMarks.last;
      case "response.failed":
      case "error":
        this.failure = toldFailure(frame);
        return frameMarks.failed;
      default:
        return 0;
    }
  }

  #content({ data, dataStart, dataEnd }: Frame): number {
    delta.begin(data, dataStart, dataEnd);
    if (delta.next() === 0 && data[delta.valueAt] === 0x22) {
      this.contentBytes += delta.skipString();
    }
    return frameMarks.content;
  }
}

function parsed({ data, dataStart, dataEnd }: Frame): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(asBuffer(data).toString("utf8", dataStart, dataEnd));
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

/** The event's type, for servers that leave the event's name out. */
function typeOf(frame: Frame): string {
  const { type } = parsed(frame);
  return typeof type === "string" ? type : "";
}

function toldFailure(frame: Frame): Failure {
  const value = parsed(frame);
  const text = readOpenAiError(value) ?? readOpenAiError(value["response"]);
  return failure("model_failed", text ?? "The server sent an error");
}
