/** Reads what an Ollama server answers into the neutral model, whole or line by line. */
import { failure, isFailure, type Failure } from "../../core/errors.ts";
import type { ChatAnswer, ChatEvents, ChatStreamReader } from "../chat/chat-answer.ts";
import type { OutputPart } from "../chat/chat-request.ts";
import type { Frame, FrameHandler } from "../streams/frame.ts";
import { LineReader } from "../streams/line-reader.ts";
import { unfinished } from "../streams/stream-relay.ts";
import { readFinish, readPiece, type OllamaCall } from "./answer-parts.ts";

/** Reads a whole answer. */
export function readOllamaAnswer(body: Uint8Array): ChatAnswer | Failure {
  const piece = readPiece(body);
  if (isFailure(piece)) return piece;
  if (!piece.isDone) return unfinished();
  const content: OutputPart[] = [];
  if (piece.thinking !== "") content.push({ kind: "thinking", text: piece.thinking, signature: undefined });
  if (piece.text !== "") content.push({ kind: "text", text: piece.text });
  for (const [index, call] of piece.calls.entries()) {
    content.push({
      kind: "tool_call",
      id: call.id ?? `call_${index}`,
      name: call.name,
      arguments: call.arguments,
    });
  }
  return {
    id: undefined,
    content,
    finish: readFinish(piece.doneReason, piece.calls.length > 0),
    usage: piece.usage,
    logprobs: piece.logprobs,
  };
}

/** Reads lines and tells events. */
export class OllamaStreamReader implements ChatStreamReader, FrameHandler {
  readonly #events: ChatEvents;
  readonly #lines = new LineReader(this);
  #hasStarted = false;
  #isOver = false;
  #calls = 0;

  constructor(events: ChatEvents) {
    this.#events = events;
  }

  data(chunk: Uint8Array): void {
    this.#lines.push(chunk);
  }

  end(): void {
    this.#lines.end();
    if (!this.#isOver) this.#fail(unfinished());
  }

  frame(frame: Frame): void {
    if (this.#isOver || frame.dataEnd === 0) return;
    const piece = readPiece(frame.data.subarray(frame.dataStart, frame.dataEnd));
    if (isFailure(piece)) return this.#fail(frame.isTail ? unfinished() : piece);
    const events = this.#events;
    if (!this.#hasStarted) {
      this.#hasStarted = true;
      events.start({ id: undefined, promptTokens: undefined });
    }
    if (piece.thinking !== "") events.thinking(piece.thinking);
    if (piece.text !== "") events.text(piece.text, piece.logprobs);
    for (const call of piece.calls) this.#call(call);
    if (!piece.isDone) return;
    events.finish(readFinish(piece.doneReason, this.#calls > 0));
    if (piece.usage !== undefined) events.usage(piece.usage);
    this.#stop();
    events.end();
  }

  tooLong(maxBytes: number): void {
    this.#fail(failure("bad_upstream_answer", `The server sent a line of more than ${maxBytes} bytes`));
  }

  #call({ id, name, arguments: text }: OllamaCall): void {
    const index = this.#calls++;
    this.#events.toolCall({ index, id: id ?? `call_${index}`, name });
    this.#events.toolArguments(index, text);
    this.#events.toolCallEnd(index);
  }

  #fail(reason: Failure): void {
    this.#stop();
    this.#events.fail(reason);
  }

  #stop(): void {
    this.#isOver = true;
    this.#lines.stop();
  }
}
