/** What a simulated server is told of a model. */
import type { EngineOptions } from "./engine/options.ts";
import { quickEngine } from "./engine/options.ts";
import { hashText, mix } from "./random.ts";

/** A model as it is asked for. Only the name is needed. */
export interface ModelSpec {
  /** As clients say it: `llama3.1:8b`, `Qwen/Qwen2.5-7B-Instruct`. */
  readonly name: string;
  /** Speed and size of its engine, over the simulator's own. */
  readonly engine?: Partial<EngineOptions>;
  /** Simulated milliseconds to load it. Default 0. */
  readonly loadMs?: number;
  /** Tokens an answer has by itself: log-normal. Default 24, deviation 0. */
  readonly answerTokens?: { readonly mean: number; readonly deviation: number };
  /** Whether it thinks before it answers when it is not told. Default false; a request may ask. */
  readonly thinks?: boolean;
  /** LoRA adapters served beside it, by the names clients use. */
  readonly adapters?: readonly string[];
  /** Length of its embeddings. Default 384. */
  readonly embeddingLength?: number;
  /** Bytes on disk and in memory. Default 4.7 GB. */
  readonly sizeBytes?: number;
  /** Default `llama`. */
  readonly family?: string;
  /** Default `8.0B`. */
  readonly parameterSize?: string;
  /** Default `Q4_K_M`. */
  readonly quantization?: string;
  /** What Ollama says it can do. Default completion, tools, vision, thinking, embedding. */
  readonly capabilities?: readonly string[];
}

/** A model with everything decided. */
export interface Model extends Required<Omit<ModelSpec, "engine">> {
  readonly engine: EngineOptions;
  /** SHA-256-like hex digest that depends on the name only. */
  readonly digest: string;
  /** Keeps its prompts apart from those of other models. */
  readonly salt: number;
}

/** Fills in the defaults. */
export function resolveModel(spec: ModelSpec | string, engine: Partial<EngineOptions> = {}): Model {
  const given = typeof spec === "string" ? { name: spec } : spec;
  return {
    loadMs: 0,
    answerTokens: { mean: 24, deviation: 0 },
    thinks: false,
    adapters: [],
    embeddingLength: 384,
    sizeBytes: 4_700_000_000,
    family: "llama",
    parameterSize: "8.0B",
    quantization: "Q4_K_M",
    capabilities: given.name.includes("embed")
      ? ["embedding"]
      : ["completion", "tools", "vision", "thinking", "embedding"],
    ...given,
    engine: { ...quickEngine, ...engine, ...given.engine },
    digest: digestOf(given.name),
    salt: hashText(given.name),
  };
}

/** 64 hex digits that depend on the text only. */
function digestOf(text: string): string {
  let digest = "";
  for (let at = 0; at < 8; at++)
    digest += mix(hashText(text) + at * 0x9e3779b9)
      .toString(16)
      .padStart(8, "0");
  return digest;
}
