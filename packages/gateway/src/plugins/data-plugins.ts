/** The plugins of the data layer. */
import type { PluginDefinition } from "../contracts/plugins/plugin.ts";
import { fileDiscovery } from "./discovery/file-discovery.ts";
import { coreMetricsExtractor } from "./extractors/core-metrics-extractor.ts";
import { metricsDataSource } from "./sources/metrics-data-source.ts";

/** Sources, extractors and discoveries that are built in. */
export const dataPlugins: readonly PluginDefinition[] = [
  metricsDataSource,
  coreMetricsExtractor,
  fileDiscovery,
];
