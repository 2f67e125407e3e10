/** Reads what a server that speaks OpenAI's API answers into the neutral model, whole or event by event. */
import { failure, type Failure } from "../../core/errors.ts";
import type { ChatAnswer, ChatEvents, ChatStreamReader } from "../chat/chat-answer.ts";
import type { OutputPart } from "../chat/chat-request.ts";
import { isJsonObject, type JsonObject } from "../chat/json-object.ts";
import { asBuffer } from "../json/parse-json.ts";
import type { Frame, FrameHandler } from "../streams/frame.ts";
import { SseReader } from "../streams/sse-reader.ts";
import { unfinished } from "../streams/stream-relay.ts";
import {
  callsOf,
  contentTextOf,
  finishOf,
  firstChoice,
  logprobsOf,
  textOf,
  thinkingOf,
  usageOf,
  type CallPiece,
} from "./answer-parts.ts";
import { isDone, malformedEvent, toldError } from "./chat-inspector.ts";
import { readOpenAiError } from "./openai-errors.ts";

/** Reads a whole chat or completion. */
export function readOpenAiAnswer(body: Uint8Array): ChatAnswer | Failure {
  const value = parseObject(asBuffer(body).toString("utf8"));
  if (isUnreadable(value)) return failure("bad_upstream_answer", "The server's answer is not JSON");
  const told = toldError(value);
  if (told !== undefined) return told;
  const choice = firstChoice(value);
  if (choice === undefined) return failure("bad_upstream_answer", "The server's answer has no choices");
  const message = choice["message"];
  const content = contentOf(isJsonObject(message) ? message : {}, choice);
  const hasCalls = content.some(({ kind }) => kind === "tool_call");
  return {
    id: textOf(value["id"]),
    content,
    finish: finishOf(choice, hasCalls) ?? { reason: "stop", stopSequence: undefined },
    usage: usageOf(value),
    logprobs: logprobsOf(choice),
  };
}

function contentOf(message: JsonObject, choice: JsonObject): OutputPart[] {
  const content: OutputPart[] = [];
  const thinking = thinkingOf(message);
  if (thinking !== undefined) content.push({ kind: "thinking", text: thinking, signature: undefined });
  const text = contentTextOf(message) ?? textOf(message["refusal"]) ?? textOf(choice["text"]);
  if (text !== undefined) content.push({ kind: "text", text });
  for (const call of callsOf(message)) {
    const { id = `call_${call.index}`, name = "", arguments: args } = call;
    content.push({ kind: "tool_call", id, name, arguments: args === "" ? "{}" : args });
  }
  return content;
}

/** What an error body says. */
export function readOpenAiErrorText(body: Uint8Array): string | undefined {
  const value = parseObject(asBuffer(body).toString("utf8"));
  return isUnreadable(value) ? undefined : readOpenAiError(value);
}

/** Wrapped, since a foreign object may look like anything. */
const unreadable = Symbol("unreadable");

function parseObject(text: string): JsonObject | typeof unreadable {
  try {
    const value: unknown = JSON.parse(text);
    return isJsonObject(value) ? value : unreadable;
  } catch {
    return unreadable;
  }
}

function isUnreadable(value: JsonObject | typeof unreadable): value is typeof unreadable {
  return value === unreadable;
}

/** Reads events and tells them. */
export class OpenAiStreamReader implements ChatStreamReader, FrameHandler {
  readonly #events: ChatEvents;
  readonly #reader = new SseReader(this);
  #hasStarted = false;
  #isOver = false;
  /** The call whose arguments come, by the server's index; -1: none. */
  #callIndex = -1;
  #hasArguments = false;
  #calls = 0;

  constructor(events: ChatEvents) {
    this.#events = events;
  }

  data(chunk: Uint8Array): void {
    this.#reader.push(chunk);
  }

  end(): void {
    this.#reader.end();
    if (!this.#isOver) this.#fail(unfinished());
  }

  frame(frame: Frame): void {
    const { data, dataStart, dataEnd } = frame;
    if (this.#isOver || dataEnd === 0) return;
    if (isDone(data, dataStart, dataEnd)) return this.#done();
    const value = parseObject(asBuffer(data).toString("utf8", dataStart, dataEnd));
    if (isUnreadable(value)) return this.#fail(frame.isTail ? unfinished() : malformedEvent());
    const told = toldError(value);
    if (told !== undefined) return this.#fail(told);
    if (!this.#hasStarted) {
      this.#hasStarted = true;
      this.#events.start({ id: textOf(value["id"]), promptTokens: undefined });
    }
    const choice = firstChoice(value);
    if (choice !== undefined) this.#choice(choice);
    const usage = usageOf(value);
    if (usage !== undefined) this.#events.usage(usage);
  }

  tooLong(maxBytes: number): void {
    this.#fail(failure("bad_upstream_answer", `The server sent an event of more than ${maxBytes} bytes`));
  }

  #choice(choice: JsonObject): void {
    const given = choice["delta"];
    const delta = isJsonObject(given) ? given : {};
    const thinking = thinkingOf(delta);
    const text = contentTextOf(delta) ?? textOf(delta["refusal"]) ?? textOf(choice["text"]);
    if (thinking !== undefined || text !== undefined) this.#endCall();
    if (thinking !== undefined) this.#events.thinking(thinking);
    if (text !== undefined) this.#events.text(text, logprobsOf(choice));
    for (const piece of callsOf(delta)) this.#call(piece);
    const finish = finishOf(choice, this.#calls > 0);
    if (finish === undefined || this.#isOver) return;
    this.#endCall();
    this.#events.finish(finish);
  }

  /** A new index begins a call, as does a new id under the same index, which some servers send. */
  #call({ index, id, name, arguments: text }: CallPiece): void {
    if (this.#isOver) return;
    const isNew = index !== this.#callIndex || (id !== undefined && name !== undefined);
    if (isNew) {
      // More of a call that another one has followed: nobody could put it where it belongs.
      if (name === undefined) return this.#fail(malformedEvent());
      this.#endCall();
      this.#callIndex = index;
      const own = this.#calls++;
      this.#events.toolCall({ index: own, id: id ?? `call_${own}`, name });
    }
    if (text === "") return;
    this.#hasArguments = true;
    this.#events.toolArguments(this.#calls - 1, text);
  }

  #endCall(): void {
    if (this.#callIndex < 0) return;
    if (!this.#hasArguments) this.#events.toolArguments(this.#calls - 1, "{}");
    this.#events.toolCallEnd(this.#calls - 1);
    this.#callIndex = -1;
    this.#hasArguments = false;
  }

  #done(): void {
    this.#endCall();
    this.#stop();
    this.#events.end();
  }

  #fail(reason: Failure): void {
    if (this.#isOver) return;
    this.#stop();
    this.#events.fail(reason);
  }

  #stop(): void {
    this.#isOver = true;
    this.#reader.stop();
  }
}
