/**
 * A whole page of metrics as vLLM's server shows it: its engines' series by their public names, and those of the Python
 * client, the process and the HTTP server around them. For measuring and testing what reads pages; what counts changes,
 * the rest stands still.
 */
import { HISTOGRAMS } from "./model-metrics.ts";

/** What the page tells. */
export interface FullPageValues {
  /** Default `meta-llama/Llama-3.1-8B-Instruct`. */
  readonly model?: string;
  /** Engines behind the address, as with data parallelism. Default 1. */
  readonly engines?: number;
  /** Requests of each engine. */
  readonly waiting: number;
  readonly running: number;
  /** 0 to 1. */
  readonly kvUsage: number;
  /** Names of adapters that run now. Default none: the family is not there. */
  readonly adapters?: readonly string[];
}

const COUNTERS = [
  ["prefix_cache_queries", "Prefix cache queries, in terms of number of queried tokens."],
  ["prefix_cache_hits", "Prefix cache hits, in terms of number of cached tokens."],
  ["external_prefix_cache_queries", "External prefix cache queries from KV connector, in tokens."],
  ["external_prefix_cache_hits", "External prefix cache hits from KV connector, in tokens."],
  ["mm_cache_queries", "Multi-modal cache queries, in terms of number of queried items."],
  ["mm_cache_hits", "Multi-modal cache hits, in terms of number of cached items."],
  ["num_preemptions", "Cumulative number of preemption from the engine."],
  ["prompt_tokens", "Number of prefill tokens processed."],
  ["generation_tokens", "Number of generation tokens processed."],
] as const;

const PROCESS = [
  ["process_virtual_memory_bytes", "Virtual memory size in bytes.", 3.1e10],
  ["process_resident_memory_bytes", "Resident memory size in bytes.", 4.2e9],
  ["process_start_time_seconds", "Start time of the process since unix epoch in seconds.", 1.7633e9],
  ["process_cpu_seconds_total", "Total user and system CPU time spent in seconds.", 812.4],
  ["process_open_fds", "Number of open file descriptors.", 71],
  ["process_max_fds", "Maximum number of open file descriptors.", 65_536],
] as const;

const HANDLERS = [
  "/v1/chat/completions",
  "/v1/completions",
  "/v1/embeddings",
  "/v1/responses",
  "/v1/models",
  "/v1/messages",
  "/v1/score",
  "/v1/rerank",
  "/tokenize",
  "/detokenize",
] as const;
/** Of the HTTP server's one histogram without handlers. */
const FINE = [
  0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5, 7.5, 10, 30, 60,
];
const CACHE_CONFIG =
  'block_size="16",cache_dtype="auto",calculate_kv_scales="False",cpu_kvcache_space_bytes="None",cpu_offload_gb="0",enable_prefix_caching="True",gpu_memory_utilization="0.9",is_attention_free="False",kv_cache_memory_bytes="None",kv_sharing_fast_prefill="False",mamba_cache_dtype="auto",num_cpu_blocks="None",num_gpu_blocks="27412",num_gpu_blocks_override="None",prefix_caching_hash_algo="sha256",sliding_window="None",swap_space="4",swap_space_bytes="4294967296"';

/** The page: about 60 KB for an engine. */
export function fullPage(values: FullPageValues): string {
  const { model = "meta-llama/Llama-3.1-8B-Instruct", engines = 1 } = values;
  const labels = Array.from({ length: engines }, (_, engine) => `engine="${engine}",model_name="${model}"`);
  return printProcess() + printEngines(values, labels) + printHttp();
}

function printProcess(): string {
  let out = head("python_gc_objects_collected_total", "counter", "Objects collected during gc");
  for (const generation of [0, 1, 2])
    out += `python_gc_objects_collected_total{generation="${generation}"} ${4_812 >> generation}.0\n`;
  out += head("python_info", "gauge", "Python platform information");
  out += 'python_info{implementation="CPython",major="3",minor="12",patchlevel="11",version="3.12.11"} 1.0\n';
  for (const [name, help, value] of PROCESS)
    out += `${head(name, name.endsWith("_total") ? "counter" : "gauge", help)}${name} ${decimal(value)}\n`;
  return out;
}

function printEngines({ waiting, running, kvUsage, adapters }: FullPageValues, labels: string[]): string {
  let out = gauge("num_requests_running", "Number of requests in model execution batches.", labels, running);
  out += gauge("num_requests_waiting", "Number of requests waiting to be processed.", labels, waiting);
  out += gauge("kv_cache_usage_perc", "KV-cache usage. 1 means 100 percent usage.", labels, kvUsage);
  for (const [at, [name, help]] of COUNTERS.entries()) out += counter(name, help, labels, 1.9e7 + at * 7_919);
  out += head("vllm:request_success_total", "counter", "Count of successfully processed requests.");
  for (const reason of ["stop", "length", "abort"])
    for (const each of labels)
      out += `vllm:request_success_total{${each},finished_reason="${reason}"} 1204.0\n`;
  for (const [at, [name, [help, bounds]]] of Object.entries(HISTOGRAMS).entries())
    out += histogram(`vllm:${name}`, help, labels, { bounds, seed: at });
  out += head("vllm:cache_config_info", "gauge", "Information of the LLMEngine CacheConfig");
  for (const [engine] of labels.entries())
    out += `vllm:cache_config_info{${CACHE_CONFIG},engine="${engine}"} 1.0\n`;
  if (adapters === undefined) return out;
  out += head("vllm:lora_requests_info", "gauge", "Running stats on lora requests.");
  out += `vllm:lora_requests_info{max_lora="4",running_lora_adapters="",waiting_lora_adapters=""} 1.7633e+09\n`;
  return `${out}vllm:lora_requests_info{max_lora="4",running_lora_adapters="${adapters.join(",")}",waiting_lora_adapters=""} 1.763300001e+09\n`;
}

function printHttp(): string {
  let out = head("http_requests_total", "counter", "Total number of requests by method, status and handler.");
  for (const handler of HANDLERS)
    for (const status of ["2xx", "4xx"])
      out += `http_requests_total{handler="${handler}",method="POST",status="${status}"} 4021.0\n`;
  out += histogram("http_request_duration_highr_seconds", "Latency with many buckets.", [""], {
    bounds: FINE,
    seed: 31,
  });
  const each = HANDLERS.map((handler) => `handler="${handler}",method="POST"`);
  for (const part of ["request", "response"])
    out += summary(`http_${part}_size_bytes`, `Content length of ${part}s by handler.`, each);
  return (
    out +
    histogram("http_request_duration_seconds", "Latency with only few buckets by handler.", each, {
      bounds: [0.1, 0.5, 1],
      seed: 37,
    })
  );
}

function head(name: string, type: string, help: string): string {
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`;
}

function gauge(name: string, help: string, labels: readonly string[], value: number): string {
  return (
    head(`vllm:${name}`, "gauge", help) +
    labels.map((each) => `vllm:${name}{${each}} ${decimal(value)}\n`).join("")
  );
}

function counter(name: string, help: string, labels: readonly string[], value: number): string {
  return (
    head(`vllm:${name}_total`, "counter", help) +
    labels.map((each) => `vllm:${name}_total{${each}} ${decimal(value)}\n`).join("") +
    created(`vllm:${name}`, help, labels)
  );
}

function summary(name: string, help: string, labels: readonly string[]): string {
  let out = head(name, "summary", help);
  for (const each of labels) out += `${name}_count{${each}} 4021.0\n${name}_sum{${each}} 9.1482e+06\n`;
  return out + created(name, help, labels);
}

/** The Python client shows when each counter, summary and histogram was made. */
function created(name: string, help: string, labels: readonly string[]): string {
  return (
    head(`${name}_created`, "gauge", help) +
    labels.map((each) => `${name}_created{${each}} 1.7633000412345678e+09\n`).join("")
  );
}

function histogram(
  name: string,
  help: string,
  labels: readonly string[],
  { bounds, seed }: { readonly bounds: readonly number[]; readonly seed: number },
): string {
  let out = head(name, "histogram", help);
  for (const each of labels) {
    const before = each === "" ? "" : `${each},`;
    let count = 0;
    for (const [at, bound] of bounds.entries()) {
      count += (seed * 37 + at * 101) % 523;
      out += `${name}_bucket{${before}le="${decimal(bound)}"} ${decimal(count)}\n`;
    }
    const own = each === "" ? "" : `{${each}}`;
    out += `${name}_bucket{${before}le="+Inf"} ${decimal(count)}\n${name}_count${own} ${decimal(count)}\n${name}_sum${own} ${count * 0.731}\n`;
  }
  return out + created(name, help, labels).replaceAll("{}", "");
}

function decimal(value: number): string {
  return Number.isInteger(value) ? `${value}.0` : String(value);
}
