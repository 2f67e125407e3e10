/** The neutral answer: whole, or event by event. */
import type { Failure } from "../../core/errors.ts";
import type { TokenUsage } from "../../core/forward.ts";
import type { OutputPart } from "./chat-request.ts";

/**
 * Why an answer ended.
 * - `stop`: the model was done, or met one of the caller's stop texts.
 * - `length`: no more tokens were allowed, or fitted.
 * - `tool_calls`: the model waits for the results of tools.
 * - `content_filter`: the server held the rest back, or the model declined.
 */
export type FinishReason = "stop" | "length" | "tool_calls" | "content_filter";

/** How an answer ended. */
export interface ChatFinish {
  readonly reason: FinishReason;
  /** The stop text that was met, where the server says so. */
  readonly stopSequence: string | undefined;
}

/** A token and how likely it was. The form is OpenAI's and Ollama's. */
export interface TokenLogprob {
  readonly token: string;
  readonly logprob: number;
  readonly bytes: readonly number[] | null;
  readonly top_logprobs: readonly {
    readonly token: string;
    readonly logprob: number;
    readonly bytes: readonly number[] | null;
  }[];
}

/** What a server says of itself at the start of an answer; undefined where it does not. */
export interface ChatStart {
  readonly id: string | undefined;
  /** Tokens of the prompt, where the server tells them first. */
  readonly promptTokens: number | undefined;
}

/** A tool call begins. */
export interface ToolCallStart {
  /** Counts the answer's tool calls from 0. */
  readonly index: number;
  /** Never empty: made where the server gives none. */
  readonly id: string;
  readonly name: string;
}

/** The content of a running answer, in order. A tool call's events do not mix with another's. */
export interface ChatContent {
  /** Once, before everything else. */
  start(start: ChatStart): void;
  /** Never empty. */
  text(delta: string, logprobs: readonly TokenLogprob[] | undefined): void;
  /** Never empty. */
  thinking(delta: string): void;
  /** Anthropic's signature of the thinking before it. */
  thinkingSignature(signature: string): void;
  toolCall(call: ToolCallStart): void;
  /** A piece of the call's arguments as JSON text. */
  toolArguments(index: number, delta: string): void;
  /** The call's arguments are complete. */
  toolCallEnd(index: number): void;
}

/** Where a server's reader tells what it read. After `end` or `fail` it is not called again. */
export interface ChatEvents extends ChatContent {
  finish(finish: ChatFinish): void;
  /** As often as the server tells; the last counts. */
  usage(tokens: TokenUsage): void;
  /** The server's last word was read. To be called once. */
  end(): void;
  /** An error object inside the stream, or a frame that cannot be read. */
  fail(reason: Failure): void;
}

/** Writes a running answer for a caller. Called in order: the content, then one of `end` and `fail`. */
export interface ChatStreamWriter extends ChatContent {
  /** Writes the last events. Tokens are estimated where the server said nothing. */
  end(finish: ChatFinish, tokens: TokenUsage): void;
  /** Writes the dialect's error event. The stream must not look complete afterwards. */
  fail(reason: Failure): void;
}

/** Reads a server's stream and tells `ChatEvents`. */
export interface ChatStreamReader {
  data(chunk: Uint8Array): void;
  /** The server's bytes ended. Calls `events.end` or `events.fail` if neither was called yet. */
  end(): void;
}

/** A whole answer. */
export interface ChatAnswer {
  readonly id: string | undefined;
  /** In order; texts and thinking that follow each other are one part. */
  readonly content: readonly OutputPart[];
  readonly finish: ChatFinish;
  /** Undefined where the server does not tell. */
  readonly usage: TokenUsage | undefined;
  readonly logprobs: readonly TokenLogprob[] | undefined;
}
