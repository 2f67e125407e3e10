/**
 * Series of the picker under the names that the Endpoint Picker of the Gateway API Inference Extension and of llm-d
 * gives them, older names included, so that dashboards and alerts made for it find what they ask for.
 */
import type { MetricDefinition } from "../contracts/telemetry.ts";

const modelLabels = ["model_name", "target_model_name", "fairness_id", "priority"] as const;
/** The older families know models only. */
const models = [
  ["model_name", "model_name"],
  ["target_model_name", "target_model_name"],
] as const;
const [model] = models;
const priority = ["priority", "priority"] as const;

/** Label sets of requests: of each at most so many, beyond which tenants, then models, are `other`. */
export const maxRequestLabelSets = 1_000;
/** With the one that all others share. */
const maxLabelSets = maxRequestLabelSets + 1;

const latencyBuckets = [
  0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60, 120,
  180, 240, 300, 360, 480, 600, 900, 1200, 1800, 2700, 3600,
] as const;
const firstTokenBuckets = latencyBuckets.slice(0, latencyBuckets.indexOf(120) + 1);
const sizeBuckets = Array.from({ length: 25 }, (_, index) => 64 * 2 ** index);
/** 32778 is what the older families have, and dashboards that name a bound ask for. */
const outputTokenBuckets = [1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192] as const;
const inputTokenBuckets = [
  ...outputTokenBuckets,
  16384,
  32778,
  65536,
  131072,
  262144,
  524288,
  1048576,
] as const;
const responseSizeBuckets = [...outputTokenBuckets, 16384, 32778, 65536] as const;
/** The first five are ours: a cycle takes microseconds here. */
const cycleBuckets = [
  0.000002, 0.000005, 0.00001, 0.00002, 0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02,
  0.05, 0.1,
] as const;

/** The families of requests, pools and scheduling; only pools that have a `scheduling` of their own are in them. */
export const pickerMetrics = {
  requests: {
    name: "llm_d_epp_request_total",
    help: "Requests for pools with scheduling of their own that have ended, those that were refused included.",
    labels: modelLabels,
    maxLabelSets,
    aliases: [{ name: "inference_objective_request_total", labels: [...models, priority] }],
  },
  errors: {
    name: "llm_d_epp_request_error_total",
    help: "Requests that were answered with an error; the codes are the Endpoint Picker's.",
    labels: [...modelLabels, "error_code"],
    aliases: [
      {
        name: "inference_objective_request_error_total",
        labels: [...models, ["error_code", "error_code"]],
      },
    ],
  },
  duration: {
    name: "llm_d_epp_request_duration_seconds",
    help: "From the request to the end of its answer, the time in line included.",
    labels: modelLabels,
    maxLabelSets,
    buckets: latencyBuckets,
    aliases: [{ name: "inference_objective_request_duration_seconds", labels: models }],
  },
  requestBytes: {
    name: "llm_d_epp_request_size_bytes",
    help: "Bytes of the request's body.",
    labels: modelLabels,
    maxLabelSets,
    buckets: sizeBuckets,
    aliases: [{ name: "inference_objective_request_sizes", labels: models }],
  },
  responseBytes: {
    name: "llm_d_epp_response_size_bytes",
    help: "Bytes of the answer's body.",
    labels: modelLabels,
    maxLabelSets,
    buckets: responseSizeBuckets,
    aliases: [{ name: "inference_objective_response_sizes", labels: models }],
  },
  inputTokens: {
    name: "llm_d_epp_request_input_tokens",
    help: "Prompt tokens, where the server told them.",
    labels: modelLabels,
    maxLabelSets,
    buckets: inputTokenBuckets,
    aliases: [{ name: "inference_objective_input_tokens", labels: models }],
  },
  outputTokens: {
    name: "llm_d_epp_request_output_tokens",
    help: "Completion tokens, where the server told them.",
    labels: modelLabels,
    maxLabelSets,
    buckets: outputTokenBuckets,
    aliases: [{ name: "inference_objective_output_tokens", labels: models }],
  },
  cachedTokens: {
    name: "llm_d_epp_request_cached_tokens",
    help: "Prompt tokens that the server had in its cache, where it told them.",
    labels: modelLabels,
    maxLabelSets,
    buckets: inputTokenBuckets,
    aliases: [{ name: "inference_objective_prompt_cached_tokens", labels: models }],
  },
  running: {
    name: "llm_d_epp_request_running",
    help: "Attempts of requests that have a place at an endpoint now.",
    labels: modelLabels,
    maxLabelSets,
    aliases: [{ name: "inference_objective_running_requests", labels: [model] }],
  },
  perToken: {
    name: "llm_d_epp_request_ntpot_seconds",
    help: "Duration of the request divided by its completion tokens.",
    labels: modelLabels,
    maxLabelSets,
    buckets: [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10],
    aliases: [{ name: "inference_objective_normalized_time_per_output_token_seconds", labels: models }],
  },
  firstToken: {
    name: "llm_d_epp_request_ttft_seconds",
    help: "From the request to the first content of its answer, the time in line included.",
    labels: [...modelLabels, "streaming"],
    maxLabelSets: 2 * maxLabelSets,
    buckets: firstTokenBuckets,
  },
  tokenGap: {
    name: "llm_d_epp_request_streaming_tpot_seconds",
    help: "Mean time between two tokens of a streamed answer, behind its first content.",
    labels: modelLabels,
    maxLabelSets,
    buckets: [
      0.0005, 0.00205, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.125, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1,
      2,
    ],
  },
  kvUsage: {
    name: "llm_d_epp_average_kv_cache_utilization",
    help: "Share of the KV cache in use, mean over the pool's servers that tell it.",
    labels: ["name"],
    aliases: [{ name: "inference_pool_average_kv_cache_utilization" }],
  },
  queueSize: {
    name: "llm_d_epp_average_queue_size",
    help: "Requests that wait in a server, mean over the pool's servers that tell it.",
    labels: ["name"],
    aliases: [{ name: "inference_pool_average_queue_size" }],
  },
  runningRequests: {
    name: "llm_d_epp_average_running_requests",
    help: "Requests that a server computes, mean over the pool's servers that tell it.",
    labels: ["name"],
    aliases: [{ name: "inference_pool_average_running_requests" }],
  },
  kvUsageSpread: {
    name: "llm_d_epp_std_dev_kv_cache_utilization",
    help: "Standard deviation of the share of the KV cache in use over the pool's servers.",
    labels: ["name"],
  },
  queueSizeSpread: {
    name: "llm_d_epp_std_dev_queue_size",
    help: "Standard deviation of the requests that wait in the pool's servers.",
    labels: ["name"],
  },
  runningRequestsSpread: {
    name: "llm_d_epp_std_dev_running_requests",
    help: "Standard deviation of the requests that the pool's servers compute.",
    labels: ["name"],
  },
  ready: {
    name: "llm_d_epp_ready_endpoints",
    help: "Servers of the pool that take requests.",
    labels: ["name"],
    aliases: [{ name: "inference_pool_ready_pods" }],
  },
  endpointQueue: {
    name: "llm_d_epp_per_endpoint_queue_size",
    help: "Requests that wait in a server, where it tells.",
    labels: ["name", "model_server_endpoint"],
    aliases: [
      {
        name: "inference_pool_per_pod_queue_size",
        labels: [
          ["name", "name"],
          ["model_server_pod", "model_server_endpoint"],
        ],
      },
    ],
  },
  cycle: {
    name: "llm_d_epp_scheduler_e2e_duration_seconds",
    help: "Time of one scheduling cycle: filters, scorers, picker.",
    labels: [],
    buckets: cycleBuckets,
    aliases: [{ name: "inference_extension_scheduler_e2e_duration_seconds" }],
  },
  attempts: {
    name: "llm_d_epp_scheduler_attempts_total",
    help: "Scheduling cycles and the endpoint each chose; a failure has none.",
    labels: ["status", "target_model_name", "endpoint_name", "namespace", "port"],
    aliases: [
      {
        name: "inference_extension_scheduler_attempts_total",
        labels: [
          ["status", "status"],
          ["target_model_name", "target_model_name"],
          ["pod_name", "endpoint_name"],
          ["namespace", "namespace"],
          ["port", "port"],
        ],
      },
    ],
  },
  plugin: {
    name: "llm_d_epp_plugin_duration_seconds",
    help: "Time of one plugin in one cycle; measured in one cycle of 64.",
    labels: ["extension_point", "plugin_type", "plugin_name"],
    buckets: cycleBuckets,
    aliases: [{ name: "inference_extension_plugin_duration_seconds" }],
  },
  processing: {
    name: "llm_d_epp_request_processing_duration_seconds",
    help: "From the request to its place at an endpoint, the time in line included.",
    labels: [],
    buckets: [0.0005, 0.001, 0.002, 0.005, 0.01, 0.015, 0.025, 0.04, 0.06, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
  },
  info: {
    name: "llm_d_epp_info",
    help: "Always 1; build_ref is the version of Spillway.",
    labels: ["commit", "build_ref"],
    aliases: [{ name: "inference_extension_info" }],
  },
} as const satisfies Record<string, MetricDefinition & { readonly buckets?: readonly number[] }>;
