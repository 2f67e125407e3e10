/**
 * Types of plugins that the llm-d router (v0.10) and the Gateway API Inference Extension (v1.5) have, for the message
 * about one that is not built here: it is no misspelt name.
 */
import type { PluginKind } from "../../contracts/plugins/plugin.ts";

const types: Readonly<Partial<Record<PluginKind, readonly string[]>>> = {
  filter: [
    "disaggregatedset-rollout-screener",
    "label-selector-filter",
    "by-label",
    "by-label-selector",
    "prefill-filter",
    "decode-filter",
    "encode-filter",
    "prefix-cache-affinity-filter",
    "slo-headroom-tier-filter",
    "context-length-aware",
    "utilization-filter",
    "endpoint-attribute-filter",
    "session-affinity-filter",
    "topology-affinity-filter",
    "header-based-testing-filter",
  ],
  scorer: [
    "queue-scorer",
    "kv-cache-utilization-scorer",
    "running-requests-size-scorer",
    "lora-affinity-scorer",
    "prefix-cache-scorer",
    "precise-prefix-cache-scorer",
    "no-hit-lru-scorer",
    "active-request-scorer",
    "load-aware-scorer",
    "token-load-scorer",
    "latency-scorer",
    "session-affinity-scorer",
    "header-label-affinity-scorer",
    "endpoint-attribute-scorer",
    "topology-affinity-scorer",
    "mm-embeddings-cache-scorer",
    "multicluster-queue-scorer",
    "multicluster-kv-cache-utilization-scorer",
    "multicluster-prefix-cache-scorer",
  ],
  picker: ["max-score-picker", "random-picker", "weighted-random-picker"],
  "profile-handler": [
    "single-profile-handler",
    "disagg-profile-handler",
    "header-profile-handler",
    "data-parallel-profile-handler",
    "pd-profile-handler",
    "disagg-headers-handler",
    "prefill-header-handler",
    "prefix-based-pd-decider",
    "always-disagg-pd-decider",
    "always-disagg-multimodal-decider",
  ],
  producer: [
    "token-producer",
    "tokenizer",
    "approx-prefix-cache-producer",
    "precise-prefix-cache-producer",
    "burst-prefix-cache-producer",
    "inflight-load-producer",
    "predicted-latency-producer",
    "session-id-producer",
    "mm-embeddings-cache-producer",
    "p2p-source-producer",
    "agent-identity",
    "request-attribute-reporter",
  ],
  admitter: ["latency-slo-admitter", "probabilistic-admitter"],
  fairness: ["global-strict-fairness-policy", "round-robin-fairness-policy", "program-aware-fairness"],
  ordering: ["fcfs-ordering-policy", "edf-ordering-policy", "slo-deadline-ordering-policy"],
  "usage-limit": ["static-usage-limit-policy", "priority-holdback-policy", "soft-reflective-ceiling-policy"],
  eviction: ["sheddable-eviction-filter", "priority-then-time-eviction-order-policy"],
  saturation: ["utilization-detector", "concurrency-detector"],
  source: [
    "metrics-data-source",
    "models-data-source",
    "dcgm-data-source",
    "k8s-notification-source",
    "endpoint-notification-source",
  ],
  extractor: ["core-metrics-extractor", "models-data-extractor", "dcgm-extractor", "topology-extractor"],
  discovery: ["file-discovery", "multicluster-file-discovery"],
  parser: [
    "openai-parser",
    "anthropic-parser",
    "vllmhttp-parser",
    "sglanghttp-parser",
    "vllmgrpc-parser",
    "vertexai-parser",
    "passthrough-parser",
  ],
};

const kindByType = new Map(
  Object.entries(types).flatMap(([kind, names]) => names.map((name) => [name, kind as PluginKind] as const)),
);

/** The slot that a plugin of theirs fills; undefined for a type that they do not have either. */
export function upstreamKind(type: string): PluginKind | undefined {
  return kindByType.get(type);
}
