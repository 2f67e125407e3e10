/** What is read off the servers' pages of metrics, make by make. */
import { z } from "zod";
import type { EngineMapping, ExtractorSpec, MetricMapping } from "../../contracts/plugins/data.ts";
import { definePlugin } from "../define-plugin.ts";
import { parseMetricSpec, type MetricSpec } from "./parse-metric-spec.ts";

const metricSpec = z.string().transform((text, context) => {
  const spec = parseMetricSpec(text);
  if (spec !== undefined) return spec;
  context.addIssue(`expected name{label=value,…}, got ${JSON.stringify(text)}`);
  return z.NEVER;
});

const engineConfig = z.strictObject({
  name: z.string().min(1),
  queuedRequestsSpec: metricSpec.optional(),
  runningRequestsSpec: metricSpec.optional(),
  kvUsageSpec: metricSpec.optional(),
  loraSpec: metricSpec.optional(),
  cacheInfoSpec: metricSpec.optional(),
  cacheBlockSizeLabelName: z.string().default("block_size"),
  cacheNumBlocksLabelName: z.string().default("num_gpu_blocks"),
  cacheBlockSizeSpec: metricSpec.optional(),
  cacheNumBlocksSpec: metricSpec.optional(),
  customMetrics: z.array(z.strictObject({ attributeKey: z.string().min(1), metricSpec })).default([]),
});

const parameters = z.lazy(() =>
  z.strictObject({
    engineLabelKey: z.string().default("llm-d.ai/engine-type"),
    defaultEngine: z.string().default("vllm"),
    engineConfigs: z.array(engineConfig).default([]),
  }),
);

/** The extractor of metrics: makes that are built in need no `engineConfigs`. */
export const coreMetricsExtractor = definePlugin({
  type: "core-metrics-extractor",
  kinds: ["extractor"],
  summary:
    "Says what each make of server calls its waiting and running requests, its KV cache and its adapters.",
  parameters,
  create: ({ engineLabelKey, defaultEngine, engineConfigs }): ExtractorSpec => ({
    engineLabel: engineLabelKey,
    defaultEngine,
    engines: engineConfigs.map(engineMapping),
  }),
});

function engineMapping(config: z.output<typeof engineConfig>): EngineMapping {
  const { cacheInfoSpec, cacheBlockSizeLabelName, cacheNumBlocksLabelName, loraSpec } = config;
  const custom = config.customMetrics.map(({ attributeKey, metricSpec: spec }) =>
    series(`custom:${attributeKey}`, spec),
  );
  const metrics = [
    series("waiting", config.queuedRequestsSpec),
    series("running", config.runningRequestsSpec),
    series("kvUsage", config.kvUsageSpec),
    series("blockTokens", config.cacheBlockSizeSpec),
    series("blocks", config.cacheNumBlocksSpec),
    series("blockTokens", cacheInfoSpec, cacheBlockSizeLabelName),
    series("blocks", cacheInfoSpec, cacheNumBlocksLabelName),
    series("maxAdapters", loraSpec, "max_lora"),
    series("runningAdapters", loraSpec, "running_lora_adapters"),
    series("waitingAdapters", loraSpec, "waiting_lora_adapters"),
    ...custom,
  ];
  return { engine: config.name, metrics: metrics.filter((each) => each !== undefined) };
}

function series(
  signal: MetricMapping["signal"],
  spec: MetricSpec | undefined,
  valueLabel?: string,
): MetricMapping | undefined {
  if (spec === undefined) return undefined;
  return valueLabel === undefined ? { signal, ...spec } : { signal, ...spec, valueLabel };
}
