/** What the engine needs of a library that runs models. `node-llama/` is the only code that knows one. */

/** A JSON value. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** A JSON object. */
export type JsonObject = { readonly [key: string]: Json };

/** How the next token is chosen. */
export interface Sampling {
  /** 0 takes the most likely token always. */
  readonly temperature: number;
  readonly topP: number;
  /** 0: all tokens. */
  readonly topK: number;
  readonly minP: number;
  readonly seed: number | undefined;
  readonly frequencyPenalty: number;
  readonly presencePenalty: number;
  /** 1: none. */
  readonly repeatPenalty: number;
}

/** What an answer must look like. */
export type Format = { readonly kind: "json" } | { readonly kind: "schema"; readonly schema: Json };

/** A call of a tool by the model, and what the tool said if that is known. */
export interface ToolCall {
  readonly name: string;
  readonly arguments: Json;
  readonly result: string | undefined;
}

/** One turn of a conversation. */
export type ChatMessage =
  | { readonly role: "system" | "user"; readonly text: string }
  | { readonly role: "assistant"; readonly text: string; readonly calls: readonly ToolCall[] };

/** A tool the model may call. */
export interface Tool {
  readonly name: string;
  readonly description: string | undefined;
  /** JSON schema of the arguments; undefined: none are taken. */
  readonly parameters: Json | undefined;
}

/** A conversation whose next answer is wanted. */
export interface ChatPrompt {
  readonly kind: "chat";
  readonly messages: readonly ChatMessage[];
  readonly tools: readonly Tool[];
  /** The answer has to be a call of a tool. */
  readonly mustCall: boolean;
  /** The answer may be several calls. */
  readonly manyCalls: boolean;
}

/** What is continued. */
export type Prompt = ChatPrompt | { readonly kind: "text"; readonly text: string };

/** One request for text. */
export interface Generation {
  readonly prompt: Prompt;
  readonly sampling: Sampling;
  /** Undefined: until the model ends or its context is full. */
  readonly maxTokens: number | undefined;
  readonly stop: readonly string[];
  readonly format: Format | undefined;
  /** False: as little reasoning as the model can be held to. */
  readonly think: boolean;
}

/** Hears the answer as it is made. Nothing here may throw. */
export interface GenerationEvents {
  text(text: string): void;
  /** Reasoning that precedes the answer. */
  thought(text: string): void;
  call(call: { readonly name: string; readonly arguments: string }): void;
}

/** How a generation ended. */
export interface GenerationResult {
  readonly finish: "stop" | "length" | "tool_calls";
  /** Of the prompt, how many were in memory already. */
  readonly cachedTokens: number;
  /** Tokens made. */
  readonly completionTokens: number;
}

/** A generation turned into tokens. */
export interface Prepared {
  readonly tokens: readonly number[];
}

/** A place in the model's batch with the tokens of its last request, which the next may share. */
export interface RuntimeSlot {
  /** How many leading tokens are already in memory. */
  sharedPrefix(tokens: readonly number[]): number;
  /** Rejects with the signal's reason once it is aborted, at the latest at the next token. */
  generate(prepared: Prepared, events: GenerationEvents, signal: AbortSignal): Promise<GenerationResult>;
}

/** What a model's file says of it. */
export interface FileFacts {
  readonly architecture: string;
  readonly parameters: number;
  /** Such as `Q4_K_M`; empty where the file does not say. */
  readonly quantization: string;
  /** Most tokens it was trained on. */
  readonly trainContextSize: number;
  readonly embeddingLength: number;
  readonly chatTemplate: string | undefined;
}

/** A loaded model. */
export interface RuntimeModel {
  readonly facts: FileFacts;
  /** Tokens that a request and its answer may have together. */
  readonly contextSize: number;
  /** How chats are written for the model. */
  readonly chatFormat: string;
  /** Resident memory it is assumed to take, bytes. */
  readonly memoryBytes: number;
  readonly slots: readonly RuntimeSlot[];
  /** Throws a `Refusal` for what the model cannot do and for a prompt that does not fit. */
  prepare(generation: Generation): Promise<Prepared>;
  /** Vector of a text. Throws a `Refusal` for a text that does not fit. */
  embed(
    text: string,
    signal: AbortSignal,
  ): Promise<{ readonly vector: readonly number[]; readonly tokens: number }>;
  /** Frees it. Nothing may be running. */
  close(): Promise<void>;
}

/** Loads models. */
export interface Runtime {
  /** What the file says, without loading it. Rejects with a `Refusal`: `model_broken`. */
  describe(file: string): Promise<FileFacts>;
  /** Rejects with a `Refusal`: `model_broken`, `out_of_memory`. */
  load(file: string): Promise<RuntimeModel>;
}
