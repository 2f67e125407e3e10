/**
 * Which servers the clients are tried against: one entry a kind of pool. Kinds with and without the
 * addresses of other dialects are here, so that each cell of the table of dialects is met, as bytes and
 * as a translation.
 */
import type { FaceName } from "@spillway/simulator";

/** What clients call. `chat` to `responses` are OpenAI's, `ollamaChat` to `embed` Ollama's, `messages` and `countTokens` Anthropic's. */
export type CallName =
  | "chat"
  | "completions"
  | "embeddings"
  | "responses"
  | "ollamaChat"
  | "generate"
  | "embed"
  | "messages"
  | "countTokens";

/** One pool of two servers with one model. */
export interface PoolKind {
  readonly name: string;
  readonly face: FaceName;
  /** What the servers say they are; undefined: the newest. */
  readonly version?: string;
  readonly model: string;
  /** Whether the servers tell what the model thinks. */
  readonly tellsThinking: boolean;
  /** The address of the servers at which each call arrives; undefined: the caller gets a 400. */
  readonly ends: Readonly<Record<CallName, string | undefined>>;
}

const openAi = {
  chat: "/v1/chat/completions",
  completions: "/v1/completions",
  embeddings: "/v1/embeddings",
  responses: "/v1/responses",
  ollamaChat: "/v1/chat/completions",
  generate: "/v1/chat/completions",
  embed: "/v1/embeddings",
  messages: "/v1/messages",
  countTokens: "/v1/messages/count_tokens",
} as const;

const ollama = {
  ...openAi,
  ollamaChat: "/api/chat",
  generate: "/api/generate",
  embed: "/api/embed",
  countTokens: undefined,
} as const;

/** The kinds. */
export const poolKinds: readonly PoolKind[] = [
  { name: "ollama", face: "ollama", model: "llama-new:8b", tellsThinking: true, ends: ollama },
  {
    name: "older-ollama",
    face: "ollama",
    version: "0.12.11",
    model: "llama-old:8b",
    tellsThinking: true,
    ends: { ...ollama, responses: "/api/chat", messages: "/api/chat" },
  },
  { name: "vllm", face: "vllm", model: "Qwen/New-7B", tellsThinking: true, ends: openAi },
  {
    name: "older-vllm",
    face: "vllm",
    version: "0.9.2",
    model: "Qwen/Old-7B",
    tellsThinking: true,
    ends: {
      ...openAi,
      responses: "/v1/chat/completions",
      messages: "/v1/chat/completions",
      countTokens: undefined,
    },
  },
  {
    name: "openai",
    face: "openai",
    model: "gpt-test",
    tellsThinking: false,
    ends: { ...openAi, messages: "/v1/chat/completions", countTokens: undefined },
  },
  {
    name: "anthropic",
    face: "anthropic",
    model: "claude-test",
    tellsThinking: true,
    ends: {
      chat: "/v1/messages",
      completions: undefined,
      embeddings: undefined,
      responses: "/v1/messages",
      ollamaChat: "/v1/messages",
      generate: "/v1/messages",
      embed: undefined,
      messages: "/v1/messages",
      countTokens: "/v1/messages/count_tokens",
    },
  },
];
