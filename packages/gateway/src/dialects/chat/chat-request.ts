/**
 * The neutral request: what every chat API can say, in words of none. A dialect reads its callers'
 * bodies into it and writes the bodies for its servers from it; nothing translates pairwise.
 */
import type { JsonObject } from "./json-object.ts";

/** Plain text. */
export interface TextPart {
  readonly kind: "text";
  readonly text: string;
}

/** A picture: its bytes in base64 without a `data:` prefix, or an address that the server fetches. */
export interface ImagePart {
  readonly kind: "image";
  readonly source:
    | {
        readonly kind: "base64";
        /** For example `image/png`; undefined where the caller's dialect does not say. */
        readonly mediaType: string | undefined;
        readonly data: string;
      }
    | { readonly kind: "url"; readonly url: string };
}

/** What the model thought in an earlier turn, as it has to be given back. */
export interface ThinkingPart {
  readonly kind: "thinking";
  readonly text: string;
  /** Anthropic's proof that the text is the model's own; undefined elsewhere. */
  readonly signature: string | undefined;
}

/** A call of one of the caller's tools. */
export interface ToolCallPart {
  readonly kind: "tool_call";
  /** Never empty: a dialect without ids makes them, `call_0` and on, over the whole conversation. */
  readonly id: string;
  readonly name: string;
  /** A JSON object as text, as the model wrote it: it may be no valid JSON. `{}` for none. */
  readonly arguments: string;
}

/** What a caller shows a model. */
export type InputPart = TextPart | ImagePart;

/** What a model says. */
export type OutputPart = TextPart | ThinkingPart | ToolCallPart;

/** Rules for the whole conversation. OpenAI's `developer` is one too. */
export interface SystemMessage {
  readonly role: "system";
  readonly content: readonly TextPart[];
}

/** What the user says. */
export interface UserMessage {
  readonly role: "user";
  readonly content: readonly InputPart[];
}

/** What the model said, its parts in order. */
export interface AssistantMessage {
  readonly role: "assistant";
  readonly content: readonly OutputPart[];
}

/** The result of one tool call. Several results are several messages in a row. */
export interface ToolMessage {
  readonly role: "tool";
  /** The `id` of the call. */
  readonly callId: string;
  /** The tool's name; undefined where the dialect does not say: it stands in the call of the same id. */
  readonly name: string | undefined;
  readonly content: readonly InputPart[];
  /** The tool failed. Dialects without the notion send the text alone. */
  readonly isError: boolean;
}

/** One message, told apart by `role`. */
export type ChatMessage = SystemMessage | UserMessage | AssistantMessage | ToolMessage;

/** A function that the model may ask the caller to run. */
export interface ToolDefinition {
  readonly name: string;
  readonly description: string | undefined;
  /** JSON Schema of the arguments; undefined: none. */
  readonly parameters: JsonObject | undefined;
  /** The arguments must fit the schema exactly; undefined: the server's choice. */
  readonly strict: boolean | undefined;
  /** The group that callers of `/v1/responses` put it in: told back to them with each call. */
  readonly namespace?: string;
}

/** Whether tools are to be called. */
export type ToolChoice =
  | { readonly kind: "auto" | "none" | "required" }
  | { readonly kind: "tool"; readonly name: string };

/** The form of the answer's text. */
export type AnswerFormat =
  | { readonly kind: "json" }
  | {
      readonly kind: "json_schema";
      readonly name: string | undefined;
      readonly description: string | undefined;
      readonly schema: JsonObject;
      readonly strict: boolean | undefined;
    };

/** How much the model is to think. */
export interface ThinkingRequest {
  readonly enabled: boolean;
  /** `minimal`, `low`, `medium`, `high` or a word the server knows; undefined: not said. */
  readonly effort: string | undefined;
  /** Tokens it may think at most; undefined: not said. */
  readonly budgetTokens: number | undefined;
  /** The model decides whether it thinks: a server that refuses the wish where its model cannot is not asked. */
  readonly isAdaptive?: true;
}

/** How tokens are chosen. Undefined: the server's default. */
export interface Sampling {
  readonly temperature: number | undefined;
  readonly topP: number | undefined;
  readonly topK: number | undefined;
  readonly minP: number | undefined;
  readonly frequencyPenalty: number | undefined;
  readonly presencePenalty: number | undefined;
  /** Ollama's `repeat_penalty`, vLLM's `repetition_penalty`. */
  readonly repetitionPenalty: number | undefined;
  readonly seed: number | undefined;
  /** By token id; OpenAI's and vLLM's. */
  readonly logitBias: JsonObject | undefined;
}

/** A text to go on with as it stands, past the model's chat template. */
export interface RawPrompt {
  readonly prompt: string;
  /** The text after the gap, for models that fill in; undefined: none. */
  readonly suffix: string | undefined;
}

/**
 * One request for one answer. `undefined` always means that the caller did not say. What a dialect's
 * reader finds in a body and cannot put here is either a hint that changes no answer (dropped, listed
 * in docs/guides/dialects.md) or a failure that names the field.
 */
export interface ChatRequest {
  /** The model's name as the caller wrote it. */
  readonly model: string;
  /** Empty where `raw` is given. */
  readonly messages: readonly ChatMessage[];
  readonly raw: RawPrompt | undefined;
  readonly tools: readonly ToolDefinition[];
  readonly toolChoice: ToolChoice | undefined;
  /** May several tools be called in one answer. */
  readonly parallelToolCalls: boolean | undefined;
  readonly format: AnswerFormat | undefined;
  readonly thinking: ThinkingRequest | undefined;
  readonly sampling: Sampling;
  readonly maxTokens: number | undefined;
  /** Texts that end the answer; empty: none. */
  readonly stop: readonly string[];
  readonly stream: boolean;
  /** The caller wants usage told at the end of a stream. Dialects that always tell it say true. */
  readonly streamUsage: boolean;
  /** Alternatives to tell with each token; 0: the token's own alone; undefined: no log probabilities. */
  readonly topLogprobs: number | undefined;
  /** The caller's name for its own user, for the server's abuse control. */
  readonly user: string | undefined;
  /** What the caller's dialect calls the fields above, for failures. */
  readonly fields: ChatFieldNames;
}

/** What the writer of an answer may look at: not the conversation, which can be large. */
export type AnsweredRequest = Omit<ChatRequest, "messages" | "raw">;

/** A field of the neutral request that some dialect lacks. */
export type ChatField =
  | keyof Sampling
  | "images"
  | "imageUrls"
  | "raw"
  | "suffix"
  | "tools"
  | "toolChoice"
  | "parallelToolCalls"
  | "format"
  | "thinking"
  | "maxTokens"
  | "stop"
  | "topLogprobs";

/** The names of fields in one dialect: a constant of each reader. A field that the dialect lacks has none. */
export type ChatFieldNames = Readonly<Partial<Record<ChatField, string>>>;

/** No choice about sampling. */
export const defaultSampling: Sampling = {
  temperature: undefined,
  topP: undefined,
  topK: undefined,
  minP: undefined,
  frequencyPenalty: undefined,
  presencePenalty: undefined,
  repetitionPenalty: undefined,
  seed: undefined,
  logitBias: undefined,
};
