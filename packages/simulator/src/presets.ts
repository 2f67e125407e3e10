/**
 * Ready-made servers. Their numbers are worked out from public data sheets, not measured: a decode step reads all
 * weights once (bytes ÷ memory bandwidth, plus launch overhead), a prompt token costs 2 × parameters floating-point
 * operations at the share of the peak that is named, a context token is read once a step.
 */
import type { SimulatorOptions } from "./start-simulator.ts";

/** A server, and where its numbers come from. */
export interface Preset extends Pick<SimulatorOptions, "face" | "models" | "engine" | "hosting"> {
  /** What is simulated. */
  readonly description: string;
  /** One line a number or group of numbers. */
  readonly sources: readonly string[];
}

const vllmQwen7b: Preset = {
  description: "vLLM with Qwen2.5-7B-Instruct in bf16 on one A100 of 80 GB",
  face: "vllm",
  models: [
    {
      name: "Qwen/Qwen2.5-7B-Instruct",
      answerTokens: { mean: 220, deviation: 160 },
      sizeBytes: 15_200_000_000,
    },
  ],
  engine: {
    maxSequences: 256,
    maxBatchedTokens: 8192,
    maxWaiting: 10_000,
    maxContext: 32_768,
    kvBlocks: 56_000,
    stepMs: 9,
    prefillMsPerToken: 0.097,
    decodeMsPerSequence: 0.03,
    contextMsPerThousandTokens: 0.028,
    adapterLoadMs: 60,
  },
  sources: [
    "stepMs: 15.2 GB of weights (model card: 7.61 B parameters, bf16) ÷ 2,039 GB/s (NVIDIA A100 80 GB data sheet) = 7.5, and 1.5 of overhead, assumed",
    "prefillMsPerToken: 2 × 7.61e9 FLOP at half of 312 TFLOPS (data sheet), the share assumed",
    "contextMsPerThousandTokens, kvBlocks: 57,344 bytes a token (28 layers × 2 × 4 heads × 128 × 2, config.json); 90 % of 80 GB less weights and 5 GB",
    "maxSequences, maxBatchedTokens: defaults of vLLM's server on such a card; maxWaiting: vLLM has none",
    "decodeMsPerSequence, adapterLoadMs, answerTokens: assumed",
  ],
};

const llama8b = {
  name: "llama3.1:8b",
  sizeBytes: 4_920_000_000,
  answerTokens: { mean: 220, deviation: 160 },
};

const ollamaLlama8b: Preset = {
  description: "Ollama with Llama 3.1 8B in Q4_K_M on one RTX 4090, with Ollama's own defaults",
  face: "ollama",
  models: [{ ...llama8b, loadMs: 2500 }],
  hosting: { maxLoaded: 3, maxQueue: 512, keepAliveMs: 300_000 },
  engine: {
    maxSequences: 1,
    maxBatchedTokens: 512,
    maxWaiting: 512,
    maxContext: 4096,
    kvBlocks: 256,
    stepMs: 6.5,
    prefillMsPerToken: 0.24,
    decodeMsPerSequence: 0.2,
    contextMsPerThousandTokens: 0.13,
  },
  sources: [
    "stepMs: 4.92 GB (file size) ÷ 1,008 GB/s (NVIDIA RTX 4090 specification) = 4.9, and 1.6 of overhead, assumed",
    "prefillMsPerToken: 2 × 8.03e9 FLOP at two fifths of 165 TFLOPS (fp16, Ada white paper), the share assumed",
    "contextMsPerThousandTokens: 131,072 bytes a token (32 layers × 2 × 8 heads × 128 × 2, config.json)",
    "loadMs: 4.92 GB from a disk of 3.5 GB/s, and one second to start, both assumed",
    "maxSequences, maxContext, hosting: defaults in Ollama's FAQ (OLLAMA_NUM_PARALLEL 1, 4,096 tokens, 3 models, queue 512, 5 minutes)",
  ],
};

const ollamaLlama8bCpu: Preset = {
  description: "The same on a desktop CPU with two channels of DDR5",
  face: "ollama",
  models: [{ ...llama8b, loadMs: 6000 }],
  hosting: { maxLoaded: 3, maxQueue: 512, keepAliveMs: 300_000 },
  engine: {
    ...ollamaLlama8b.engine,
    stepMs: 60,
    prefillMsPerToken: 16,
    decodeMsPerSequence: 4,
    contextMsPerThousandTokens: 1.6,
  },
  sources: [
    "stepMs, contextMsPerThousandTokens: bytes as for ollamaLlama8b ÷ 83 GB/s (two channels of DDR5-5200)",
    "prefillMsPerToken: 2 × 8.03e9 FLOP at 1 TFLOPS, assumed for eight cores with AVX2",
    "decodeMsPerSequence, loadMs: assumed",
  ],
};

const openaiHosted: Preset = {
  description: "A hosted API in OpenAI's style: 80 tokens a second",
  face: "openai",
  models: [
    { name: "gpt-4o-mini", answerTokens: { mean: 220, deviation: 160 } },
    { name: "text-embedding-3-small", embeddingLength: 1536 },
  ],
  engine: {
    maxSequences: 10_000,
    maxContext: 128_000,
    kvBlocks: 1_000_000,
    maxBatchedTokens: 1_000_000,
    stepMs: 12.5,
  },
  sources: ["all: assumed; makers publish no such figures"],
};

const anthropicHosted: Preset = {
  ...openaiHosted,
  description: "A hosted API in Anthropic's style: 80 tokens a second",
  face: "anthropic",
  models: [{ name: "claude-sonnet-4-5", answerTokens: { mean: 220, deviation: 160 } }],
};

/** All presets by name. */
export const presets = {
  vllmQwen7b,
  ollamaLlama8b,
  ollamaLlama8bCpu,
  openaiHosted,
  anthropicHosted,
} as const;

/** The name of a preset. */
export type PresetName = keyof typeof presets;
