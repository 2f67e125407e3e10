/**
 * What makes of servers call their quantities: vLLM, SGLang, Triton with TensorRT-LLM, trtllm-serve, plain Triton.
 * Source: the model server protocol of the Gateway API Inference Extension, and the servers' own pages.
 */
import type { EngineMapping, MappedSignal, MetricMapping } from "../../contracts/plugins/data.ts";

function metric(
  signal: MappedSignal,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): MetricMapping {
  return { signal, metric: name, labels };
}

function label(signal: MappedSignal, name: string, valueLabel: string): MetricMapping {
  return { signal, metric: name, labels: {}, valueLabel };
}

const tensorrtRequests = "nv_trt_llm_request_metrics";
const tensorrtBlocks = "nv_trt_llm_kv_cache_block_metrics";

/** The makes that need no configuration. */
export const builtInEngines: readonly EngineMapping[] = [
  {
    engine: "vllm",
    metrics: [
      metric("waiting", "vllm:num_requests_waiting"),
      metric("running", "vllm:num_requests_running"),
      metric("kvUsage", "vllm:kv_cache_usage_perc"),
      // Until vLLM 0.10.
      metric("kvUsage", "vllm:gpu_cache_usage_perc"),
      label("blockTokens", "vllm:cache_config_info", "block_size"),
      label("blocks", "vllm:cache_config_info", "num_gpu_blocks"),
      label("maxAdapters", "vllm:lora_requests_info", "max_lora"),
      label("runningAdapters", "vllm:lora_requests_info", "running_lora_adapters"),
      label("waitingAdapters", "vllm:lora_requests_info", "waiting_lora_adapters"),
    ],
  },
  {
    engine: "sglang",
    metrics: [
      metric("waiting", "sglang:num_queue_reqs"),
      metric("running", "sglang:num_running_reqs"),
      metric("kvUsage", "sglang:token_usage"),
      label("blockTokens", "sglang:cache_config_info", "page_size"),
      label("blocks", "sglang:cache_config_info", "num_pages"),
    ],
  },
  {
    engine: "triton-tensorrt-llm",
    metrics: [
      metric("waiting", tensorrtRequests, { request_type: "waiting" }),
      metric("running", tensorrtRequests, { request_type: "scheduled" }),
      metric("kvUsage", tensorrtBlocks, { kv_cache_block_type: "fraction" }),
      metric("blockTokens", tensorrtBlocks, { kv_cache_block_type: "tokens_per" }),
      metric("blocks", tensorrtBlocks, { kv_cache_block_type: "max" }),
    ],
  },
  {
    engine: "trtllm-serve",
    metrics: [
      metric("waiting", "trtllm_num_requests_waiting"),
      metric("running", "trtllm_num_requests_running"),
      metric("kvUsage", "trtllm_kv_cache_utilization"),
      metric("blockTokens", "trtllm_kv_cache_tokens_per_block"),
      metric("blocks", "trtllm_kv_cache_max_blocks"),
    ],
  },
  {
    // What runs is told by nothing: nv_inference_exec_count counts all that ever ran.
    engine: "triton",
    metrics: [metric("waiting", "nv_inference_pending_request_count")],
  },
];

/**
 * The mapping of an engine: the configuration's own by that name, with what is built in for quantities that it says
 * nothing of. Undefined for a name that neither has.
 */
export function mappingOf(engine: string, own: readonly EngineMapping[]): EngineMapping | undefined {
  const builtIn = builtInEngines.find((each) => each.engine === engine);
  const said = own.find((each) => each.engine === engine);
  if (said === undefined) return builtIn;
  const signals = new Set(said.metrics.map(({ signal }) => signal));
  const rest = builtIn?.metrics.filter(({ signal }) => !signals.has(signal)) ?? [];
  return { engine, metrics: [...said.metrics, ...rest] };
}
