// What Ollama's callers can say, with an example each. See examples.ts.
import type { ChatRequest, EmbedRequest, GenerateRequest, Options } from "ollama";
import { just, type Example, type Examples } from "./examples.ts";

const png = "iVBORw0KGgo=";
const schema = { type: "object", properties: { a: { type: "string" } } };
const said = { role: "user", content: "Hi" };

const memory = {
  numa: just(true),
  num_ctx: just(8192),
  num_batch: just(512),
  num_gpu: just(1),
  main_gpu: just(0),
  low_vram: just(true),
  f16_kv: just(true),
  logits_all: just(true),
  vocab_only: just(true),
  use_mmap: just(true),
  use_mlock: just(true),
  embedding_only: just(true),
  num_thread: just(4),
  num_keep: just(4),
};

/** Ollama's `options`, of chat and generate alike. */
export const optionExamples = {
  temperature: [
    { label: "up to 1", value: 0.5 },
    { label: "above 1", value: 1.5 },
  ],
  top_p: just(0.5),
  top_k: just(5),
  min_p: just(0.5),
  frequency_penalty: just(0.5),
  presence_penalty: just(0.5),
  repeat_penalty: just(1.5),
  seed: just(1),
  num_predict: just(5),
  stop: just(["x"]),
  repeat_last_n: just(128),
  tfs_z: just(0.5),
  typical_p: just(0.5),
  mirostat: just(2),
  mirostat_tau: just(5),
  mirostat_eta: just(0.1),
  penalize_newline: [{ label: "`false`", value: false }],
  ...memory,
} satisfies Record<keyof Options, readonly Example[]> & Examples;

const shared = {
  format: [
    { label: "a JSON Schema", value: schema },
    { label: "`json`", value: "json" },
  ],
  think: [
    { label: "`true`", value: true },
    { label: "`false`", value: false },
    { label: "`low`, `medium`, `high`", value: "high" },
  ],
  logprobs: just(true),
  top_logprobs: just(2, { logprobs: true }),
  stream: [{ label: "`false`", value: false }],
  keep_alive: just("5m"),
  options: [],
} satisfies Examples;

const ollamaTool = { type: "function", function: { name: "f", description: "d", parameters: schema } };
const ollamaCalls = {
  role: "assistant",
  content: "",
  tool_calls: [{ function: { name: "f", arguments: {} } }],
};

/** `POST /api/chat`. */
export const ollamaChatExamples = {
  model: [],
  messages: [
    { label: "texts of system, user and assistant", value: [{ role: "system", content: "x" }, said] },
    { label: "`images`", value: [{ ...said, images: [png] }] },
    {
      label: "calls of tools and their results",
      value: [said, ollamaCalls, { role: "tool", tool_name: "f", content: "1" }],
    },
    {
      label: "`thinking` of an earlier answer",
      value: [said, { role: "assistant", content: "x", thinking: "y" }, said],
      without: [said, { role: "assistant", content: "x" }, said],
    },
  ],
  tools: just([ollamaTool]),
  ...shared,
} satisfies Record<keyof ChatRequest, readonly Example[]> & Examples;

/** `POST /api/generate`. */
export const ollamaGenerateExamples = {
  model: [],
  prompt: just("Hello"),
  system: just("Be brief"),
  images: just([png]),
  suffix: just("end"),
  raw: [{ label: "`true`", value: true }],
  template: just("{{ .Prompt }}"),
  context: just([1, 2]),
  width: just(64),
  height: just(64),
  steps: just(4),
  ...shared,
} satisfies Record<keyof GenerateRequest, readonly Example[]> & Examples;

/** `POST /api/embed`. */
export const ollamaEmbedExamples = {
  model: [],
  input: just(["a", "b"]),
  dimensions: just(8),
  truncate: [
    { label: "`true`", value: true },
    { label: "`false`", value: false },
  ],
  keep_alive: just("5m"),
  options: just({ num_ctx: 8192 }),
} satisfies Record<keyof EmbedRequest, readonly Example[]> & Examples;
