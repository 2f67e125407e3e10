/**
 * Requests that HTTP servers answer: chats, completions, embeddings. The dialect keeps the caller's
 * bytes; what is sent, and how the answer is read, is settled for each attempt, since the servers of
 * a pool may speak different dialects.
 */
import type { Cancellation } from "./cancellation.ts";
import type { Failure } from "./errors.ts";
import type { HeaderList, HeaderMap } from "./headers.ts";
import type { WireAnswer } from "./wire-answer.ts";

/** APIs for language models, as callers and servers speak them. */
export const chatDialects = ["openai", "ollama", "anthropic"] as const;

/** One of the APIs for language models. */
export type ChatDialect = (typeof chatDialects)[number];

/** What a call asks for, by the name of its address. A closed union: the values are metric labels. */
export type Operation =
  | "chat"
  | "completions"
  | "embeddings"
  | "responses"
  | "messages"
  | "count_tokens"
  | "generate"
  | "embed"
  | "show";

/** Tokens of one request. `estimated` where the server said nothing and they were counted by size. */
export interface TokenUsage {
  readonly promptTokens: number;
  /** Of the prompt, those the server had in its cache. */
  readonly cachedTokens: number;
  readonly completionTokens: number;
  readonly estimated: boolean;
}

/** What is guessed of a request's size before it is sent. */
export interface TokenEstimate {
  readonly promptTokens: number;
  /** What the caller allows at most; undefined when it does not say. */
  readonly maxCompletionTokens: number | undefined;
}

/** Makes of servers that are told apart. `other`: speaks its dialect, and that is all that is known. */
export type ServerMake =
  | "ollama"
  | "openai"
  | "vllm"
  | "sglang"
  | "llama.cpp"
  | "lm-studio"
  | "anthropic"
  | "other";

/** The server an attempt is for, as far as its wire format depends on it. */
export interface AttemptTarget {
  readonly dialect: ChatDialect;
  /** The model's name on this server. */
  readonly model: string;
  /**
   * Addresses of other dialects that the server serves as well, for example `responses` and `messages`
   * of an Ollama or a vLLM: a call to one of these goes there as bytes.
   */
  readonly serves: readonly Operation[];
  /** What the server is; absent until it has said so. */
  readonly make?: ServerMake;
}

/** One attempt's request to a server, and the reader of its answer. */
export interface Attempt {
  readonly method: "GET" | "POST";
  /** With a leading slash, below the server's base address; with the query. */
  readonly path: string;
  /** `content-type`, `accept` and what the dialect itself asks for, such as `anthropic-version`. Never credentials or framing. */
  readonly headers: HeaderList;
  readonly body: Uint8Array;
  /** What follows `body`, where a large one is not joined. */
  readonly rest?: readonly Uint8Array[];
  readonly reader: AnswerReader;
}

/**
 * Reads one server's answer and writes the caller's dialect into the attempt's `AnswerSink`. Every
 * method is called synchronously, in the order `head`, any number of `data`, then one of `end` and
 * `cut`; nothing after that. After the reader has called `fail` on its sink it is not called again.
 */
export interface AnswerReader {
  /** The status is 2xx. Header names are in lower case. */
  head(status: number, headers: HeaderMap): void;
  /** The chunk is a view that is valid during this call and afterwards never changes. */
  data(chunk: Uint8Array): void;
  /** The server ended its answer in order. An answer that lacks its dialect's last word is `bad_upstream_answer`. */
  end(): void;
  /**
   * True after `end` while a large answer is still translated in a thread: the sink is written to later, from
   * another turn of the event loop, unless `cut` comes first. Absent: never.
   */
  readonly isTranslating?: boolean;
  /**
   * The answer broke off (cut, stalled, timed out) after `head`. The reader either writes its dialect's
   * error event and `end`s, where the caller can tell it from a good end, or `fail`s.
   */
  cut(reason: Failure): void;
  /**
   * What was used of an answer that is called off before its end: by the server's word as far as it has
   * told, else estimated from what has come. May be asked at any time after `head`; undefined: not known.
   */
  usedSoFar(): TokenUsage | undefined;
  /**
   * What the caller gets for an answer that is no 2xx: the server's own body where both speak one
   * dialect, else its text in the caller's. Called instead of the other methods.
   */
  refused(answer: RefusedAnswer): WireAnswer;
}

/** A server's answer that is no 2xx, with what there is of its body. */
export interface RefusedAnswer {
  readonly status: number;
  readonly headers: HeaderMap;
  readonly body: Uint8Array;
}

/** Where a reader writes. Called synchronously; nothing after `end` or `fail`. */
export interface AnswerSink {
  head(status: number, headers: HeaderList): void;
  data(chunk: Uint8Array): void;
  /**
   * The first content (text, reasoning, tool call) follows, or this is the head of an answer that is
   * not streamed: from here on no other endpoint is tried. Called before the `data` that has it; once.
   */
  commit(): void;
  /** As often as the server tells; the last counts. */
  usage(tokens: TokenUsage): void;
  /**
   * The caller's bytes are complete. With a failure: they end in the dialect's error event, since the
   * server broke off or sent an error after `commit`; the attempt counts as failed, the stream is closed in order.
   */
  end(failed?: Failure): void;
  /** Nothing good can be made of what the server sent. Before `commit` another endpoint may be tried. */
  fail(reason: Failure): void;
}

/** The dialect's part of a request that HTTP servers answer. */
export interface ForwardPayload {
  readonly kind: "forward";
  /** What the caller speaks. */
  readonly dialect: ChatDialect;
  readonly operation: Operation;
  /** The caller wants the answer as it is made. */
  readonly stream: boolean;
  /** The call leaves nothing behind on the server, so that it may be sent twice. */
  readonly repeatable: boolean;
  readonly estimate: TokenEstimate;
  /** Size of the caller's body; absent where it is not known. */
  readonly bytes?: number;
  /**
   * Of a request whose body is not kept: whether it may go to the server as it is, whatever it has. Only `attempt` for such
   * servers is no failure, and its `body` is empty. Absent: the body is here.
   */
  passesTo?(target: AttemptTarget): boolean;
  /**
   * To be called before `attempt` with the same target. A promise, never rejected, where the request is so large
   * that a thread translates it: `attempt` is called once it is kept. Undefined: `attempt` may be called at once.
   * A request that is called off before its turn is not translated.
   */
  prepare(target: AttemptTarget, cancellation: Cancellation): Promise<void> | undefined;
  /**
   * The request for one server: the caller's bytes, or a translation. A failure (400) that names the
   * field that the server's dialect cannot carry.
   */
  attempt(target: AttemptTarget, sink: AnswerSink): Attempt | Failure;
  /**
   * The parts of the body that a server's prefix cache depends on (tools, messages, prompt), in their order, as they
   * came: views. Worked out when first asked for. Absent, or empty: the dialect cannot tell.
   */
  promptParts?(): readonly Uint8Array[];
  /**
   * What the caller sent, as rules read it. A promise, never rejected, for a body of megabytes, which is read in turns;
   * once it is kept the value comes at once. A failure (400): the body is not what the operation takes. Undefined, or
   * absent: the operation has no prompt.
   */
  readPrompt?(): PromptReading | Failure | undefined | Promise<PromptReading | Failure>;
  /**
   * A payload with the change, beside all changes before. A failure (400) where the operation has no place for it.
   * Absent: none has. Only after `readPrompt`, and its promise.
   */
  edited?(edit: PromptEdit): ForwardPayload | Failure;
}

/** A change that a rule makes to a request's body. */
export interface PromptEdit {
  /** Instructions for the model: before or behind those that the caller gives, or instead. */
  readonly system?: { readonly text: string; readonly place: "before" | "after" | "replace" };
  /** Text that was found for the request, put before the text of the caller's last message. */
  readonly context?: string;
}

/** One text of a prompt. */
export interface PromptText {
  /** As the caller wrote it: `system`, `developer`, `user`, `assistant`, `tool`; `user` for a plain prompt. */
  readonly role: string;
  readonly text: string;
}

/** A prompt as its caller sent it; edits do not change it. */
export interface PromptReading {
  /** The whole body. */
  readonly bytes: Uint8Array;
  /** Messages of the conversation, instructions that stand beside it not counted; 1 for a plain prompt. */
  readonly messages: number;
  /**
   * Texts in their order, instructions first, without pictures, results and arguments of calls. Of texts that have more
   * than so many bytes as they stand in the body, the beginning; `isCut` then.
   */
  texts(maxBytes: number): { readonly texts: readonly PromptText[]; readonly isCut: boolean };
  /**
   * Text of the caller's last message that has any; of one that has more bytes than that as it stands in the body, the
   * beginning. Undefined where there is none.
   */
  lastUserText(maxBytes: number): { readonly text: string; readonly isCut: boolean } | undefined;
}
