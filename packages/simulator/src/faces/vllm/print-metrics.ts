/** vLLM's /metrics page: names and labels as its V1 engine has them. */
import type { Engine } from "../../engine/engine.ts";
import { HISTOGRAMS } from "./model-metrics.ts";
import type { HistogramName, ModelMetrics } from "./model-metrics.ts";

/** A model with its engine, as /metrics shows it. */
export interface MetricsSource {
  readonly name: string;
  readonly engine: Engine;
  readonly metrics: ModelMetrics;
}

/** Name, type, help and value. */
type Value = readonly [
  name: string,
  type: "gauge" | "counter",
  help: string,
  read: (engine: Engine) => number,
];

const VALUES: readonly Value[] = [
  [
    "num_requests_running",
    "gauge",
    "Number of requests in model execution batches.",
    (engine) => engine.running,
  ],
  [
    "num_requests_waiting",
    "gauge",
    "Number of requests waiting to be processed.",
    (engine) => engine.waiting,
  ],
  [
    "kv_cache_usage_perc",
    "gauge",
    "KV-cache usage. 1 means 100 percent usage.",
    (engine) => engine.cache.usage,
  ],
  [
    "prefix_cache_queries",
    "counter",
    "Tokens looked up in the prefix cache.",
    ({ counters }) => counters.prefixQueries,
  ],
  [
    "prefix_cache_hits",
    "counter",
    "Tokens found in the prefix cache.",
    ({ counters }) => counters.prefixHits,
  ],
  ["num_preemptions", "counter", "Preemptions by the engine.", ({ counters }) => counters.preemptions],
  [
    "prompt_tokens",
    "counter",
    "Number of prefill tokens processed.",
    ({ counters }) => counters.promptTokens,
  ],
  [
    "generation_tokens",
    "counter",
    "Number of generation tokens processed.",
    ({ counters }) => counters.generationTokens,
  ],
];

/** The whole page. `wallSeconds` is the value of the LoRA series, as vLLM writes it. */
export function printMetrics(sources: readonly MetricsSource[], wallSeconds: number): string {
  let out = "";
  for (const value of VALUES) out += printValue(value, sources);
  out += head("request_success", "counter", "Count of successfully processed requests.");
  for (const source of sources) out += printFinished(source);
  for (const name of Object.keys(HISTOGRAMS) as HistogramName[]) {
    out += head(name, "histogram", HISTOGRAMS[name][0]);
    for (const source of sources) out += source.metrics.print(name, labelsOf(source));
  }
  return out + printInfo(sources, wallSeconds);
}

function head(name: string, type: string, help: string): string {
  return `# HELP vllm:${name} ${help}\n# TYPE vllm:${name} ${type}\n`;
}

function labelsOf({ name }: MetricsSource): string {
  return `engine="0",model_name="${name}"`;
}

function printValue([name, type, help, read]: Value, sources: readonly MetricsSource[]): string {
  const series = type === "counter" ? `${name}_total` : name;
  let out = head(name, type, help);
  for (const source of sources)
    out += `vllm:${series}{${labelsOf(source)}} ${decimal(read(source.engine))}\n`;
  return out;
}

function printFinished({ name, metrics }: MetricsSource): string {
  let out = "";
  for (const [reason, count] of Object.entries(metrics.finished))
    out += `vllm:request_success_total{engine="0",finished_reason="${reason}",model_name="${name}"} ${decimal(count)}\n`;
  return out;
}

function printInfo(sources: readonly MetricsSource[], wallSeconds: number): string {
  let out = head("cache_config_info", "gauge", "Information of the LLMEngine CacheConfig");
  for (const { engine } of sources) {
    const { blockTokens, kvBlocks, prefixCache } = engine.options;
    const reuse = prefixCache ? "True" : "False";
    out += `vllm:cache_config_info{block_size="${blockTokens}",enable_prefix_caching="${reuse}",engine="0",num_gpu_blocks="${kvBlocks}"} 1.0\n`;
  }
  out += head("lora_requests_info", "gauge", "Running stats on lora requests.");
  for (const { engine } of sources) {
    const running = engine.adapters.running().join(",");
    const waiting = engine.waitingAdapters().join(",");
    out += `vllm:lora_requests_info{max_lora="${engine.options.maxAdapters}",running_lora_adapters="${running}",waiting_lora_adapters="${waiting}"} ${wallSeconds}\n`;
  }
  return out;
}

function decimal(value: number): string {
  return Number.isInteger(value) ? `${value}.0` : String(value);
}
