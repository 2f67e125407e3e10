/** Reads what an Anthropic server answers into the neutral model, whole or event by event. */
import { failure, isFailure, type Failure } from "../../core/errors.ts";
import type { ChatAnswer, ChatEvents, ChatFinish, ChatStreamReader } from "../chat/chat-answer.ts";
import type { OutputPart } from "../chat/chat-request.ts";
import { isJsonObject, type JsonObject } from "../chat/json-object.ts";
import type { Frame, FrameHandler } from "../streams/frame.ts";
import { SseReader } from "../streams/sse-reader.ts";
import { unfinished } from "../streams/stream-relay.ts";
import { readFinish, readMessageObject, readObject, toldFailure, UsageReader } from "./answer-parts.ts";

/** Reads a whole answer. */
export function readMessagesAnswer(body: Uint8Array): ChatAnswer | Failure {
  const parsed = readMessageObject(body);
  if (isFailure(parsed)) return parsed;
  const { content, id, usage } = parsed.object;
  if (!Array.isArray(content)) {
    return failure("bad_upstream_answer", "The server sent a message without content");
  }
  const counted = new UsageReader();
  counted.read(usage);
  return {
    id: typeof id === "string" ? id : undefined,
    content: content.filter(isJsonObject).flatMap(readPart),
    finish: readFinish(parsed.object),
    usage: counted.usage,
    logprobs: undefined,
  };
}

function readPart(block: JsonObject): readonly OutputPart[] {
  switch (block["type"]) {
    case "text":
      return [{ kind: "text", text: text(block["text"]) }];
    case "thinking":
      return [
        { kind: "thinking", text: text(block["thinking"]), signature: text(block["signature"]) || undefined },
      ];
    case "tool_use": {
      const call = JSON.stringify(block["input"] ?? {});
      return [{ kind: "tool_call", id: text(block["id"]), name: text(block["name"]), arguments: call }];
    }
    default:
      // Encrypted thinking, and blocks of tools that no other dialect can ask for.
      return [];
  }
}

/** The tool call that is being told. */
interface OpenCall {
  readonly index: number;
  hasArguments: boolean;
}

/** Reads events and tells neutral ones. */
export class MessagesStreamReader implements ChatStreamReader, FrameHandler {
  readonly #events: ChatEvents;
  readonly #frames = new SseReader(this);
  readonly #usage = new UsageReader();
  #finish: ChatFinish = { reason: "stop", stopSequence: undefined };
  #call: OpenCall | undefined;
  #calls = 0;
  #hasStarted = false;
  #isOver = false;

  constructor(events: ChatEvents) {
    this.#events = events;
  }

  data(chunk: Uint8Array): void {
    this.#frames.push(chunk);
  }

  end(): void {
    this.#frames.end();
    if (!this.#isOver) this.#fail(unfinished());
  }

  frame(frame: Frame): void {
    if (this.#isOver || frame.dataEnd === 0) return;
    const parsed = readObject(frame.data.subarray(frame.dataStart, frame.dataEnd));
    if (isFailure(parsed)) return this.#fail(frame.isTail ? unfinished() : parsed);
    this.#event(parsed.object);
  }

  tooLong(maxBytes: number): void {
    this.#fail(failure("bad_upstream_answer", `The server sent an event of more than ${maxBytes} bytes`));
  }

  #event(value: JsonObject): void {
    switch (value["type"]) {
      case "message_start":
        return this.#start(value["message"]);
      case "content_block_start":
        return this.#open(value["content_block"]);
      case "content_block_delta":
        return this.#delta(value["delta"]);
      case "content_block_stop":
        return this.#close();
      case "message_delta":
        this.#usage.read(value["usage"]);
        if (isJsonObject(value["delta"])) this.#finish = readFinish(value["delta"]);
        return;
      case "message_stop":
        return this.#stop();
      case "error":
        return this.#fail(toldFailure(value));
      default:
        // `ping`, and what the API may add.
        return;
    }
  }

  #start(message: unknown): void {
    if (this.#hasStarted) return;
    this.#hasStarted = true;
    const { id, usage }: JsonObject = isJsonObject(message) ? message : {};
    this.#usage.read(usage);
    this.#events.start({
      id: typeof id === "string" ? id : undefined,
      promptTokens: this.#usage.usage?.promptTokens,
    });
  }

  #open(block: unknown): void {
    this.#start(undefined);
    if (!isJsonObject(block)) return;
    if (block["type"] === "text") this.#text(block["text"]);
    if (block["type"] === "thinking") this.#thinking(block["thinking"]);
    if (block["type"] !== "tool_use") return;
    const index = this.#calls++;
    this.#call = { index, hasArguments: false };
    this.#events.toolCall({ index, id: text(block["id"]) || `call_${index}`, name: text(block["name"]) });
    const { input } = block;
    if (isJsonObject(input) && Object.keys(input).length > 0) this.#arguments(JSON.stringify(input));
  }

  #delta(delta: unknown): void {
    this.#start(undefined);
    if (!isJsonObject(delta)) return;
    switch (delta["type"]) {
      case "text_delta":
        return this.#text(delta["text"]);
      case "thinking_delta":
        return this.#thinking(delta["thinking"]);
      case "signature_delta": {
        const signature = text(delta["signature"]);
        if (signature !== "") this.#events.thinkingSignature(signature);
        return;
      }
      case "input_json_delta":
        return this.#arguments(text(delta["partial_json"]));
      default:
        return;
    }
  }

  #text(value: unknown): void {
    const delta = text(value);
    if (delta !== "") this.#events.text(delta, undefined);
  }

  #thinking(value: unknown): void {
    const delta = text(value);
    if (delta !== "") this.#events.thinking(delta);
  }

  #arguments(delta: string): void {
    if (this.#call === undefined || delta === "") return;
    this.#call.hasArguments = true;
    this.#events.toolArguments(this.#call.index, delta);
  }

  #close(): void {
    const call = this.#call;
    this.#call = undefined;
    if (call === undefined) return;
    if (!call.hasArguments) this.#events.toolArguments(call.index, "{}");
    this.#events.toolCallEnd(call.index);
  }

  #stop(): void {
    this.#start(undefined);
    this.#close();
    this.#events.finish(this.#finish);
    const { usage } = this.#usage;
    if (usage !== undefined) this.#events.usage(usage);
    this.#isOver = true;
    this.#frames.stop();
    this.#events.end();
  }

  #fail(reason: Failure): void {
    this.#isOver = true;
    this.#frames.stop();
    this.#events.fail(reason);
  }
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}
