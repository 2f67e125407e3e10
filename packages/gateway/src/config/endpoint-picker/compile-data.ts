/** Where endpoints and their metrics come from, as an `EndpointPickerConfig` says it. */
import type { DataSpec, ExtractorSpec, MetricsSourceSpec } from "../../contracts/plugins/data.ts";
import type { PluginHost } from "../../contracts/plugins/plugin.ts";
import type { PluginEntry, PluginList } from "./plugin-list.ts";
import type { EndpointPickerFile } from "./schema.ts";

type DataFile = NonNullable<EndpointPickerFile["dataLayer"]>;

/** What holds for reading metrics where a file says nothing: flags of the command line. */
export interface MetricsDefaults {
  readonly intervalMs: number;
  readonly staleAfterMs: number;
}

const sourceType = "metrics-data-source";
const extractorType = "core-metrics-extractor";

/** Defaults of the router's flags `--refresh-metrics-interval` and `--metrics-staleness-threshold`. */
const routerMetrics: MetricsDefaults = { intervalMs: 50, staleAfterMs: 2_000 };

/** The data layer of a file; undefined where something is wrong, which `list` has been told. */
export function compileData(
  file: EndpointPickerFile,
  list: PluginList,
  { metrics = routerMetrics }: { readonly metrics?: MetricsDefaults },
): DataSpec | undefined {
  const before = list.problems.length;
  const data: DataFile = file.dataLayer ?? {};
  refuseReplicas(data, list);
  const { sources, extractors } = resolveSources(data, list);
  const isInjected = data.injectDefaults !== false && !sources.some((each) => isOf(each, sourceType));
  const source =
    sources.find((each) => isOf(each, sourceType)) ?? (isInjected ? list.imply(sourceType) : undefined);
  const extractor = extractors.find((each) => isOf(each, extractorType)) ?? list.imply(extractorType);
  const discovery =
    data.discovery === undefined || data.discovery === null
      ? undefined
      : list.resolve(data.discovery.pluginRef, {
          path: ["dataLayer", "discovery", "pluginRef"],
          kinds: ["discovery"],
        });
  if (list.problems.length > before || extractor === undefined) return undefined;
  return {
    ...(make(extractor) as ExtractorSpec),
    metrics: source === undefined ? undefined : metricsOf(source, metrics),
    discovery: discovery?.spec,
    extractors: extractors.filter((each) => !isOf(each, extractorType)).map(({ spec }) => spec),
  };
}

function resolveSources(
  { sources }: DataFile,
  list: PluginList,
): { readonly sources: readonly PluginEntry[]; readonly extractors: readonly PluginEntry[] } {
  const found: { sources: PluginEntry[]; extractors: PluginEntry[] } = { sources: [], extractors: [] };
  for (const [index, { pluginRef, extractors }] of (sources ?? []).entries()) {
    const path = ["dataLayer", "sources", index];
    const source = list.resolve(pluginRef, { path: [...path, "pluginRef"], kinds: ["source"] });
    if (source !== undefined) found.sources.push(source);
    for (const [place, each] of (extractors ?? []).entries()) {
      const at = [...path, "extractors", place, "pluginRef"];
      const extractor = list.resolve(each.pluginRef, { path: at, kinds: ["extractor"] });
      if (extractor !== undefined) found.extractors.push(extractor);
    }
  }
  return found;
}

/** What several pickers would share. */
function refuseReplicas(data: DataFile, list: PluginList): void {
  for (const key of ["peerDiscovery", "crossReplicaSyncerPluginRef"] as const) {
    const value = data[key];
    if (value === undefined || value === null || value === "") continue;
    const message = "pickers do not share state: this is not built in Spillway";
    list.problems.push({ path: ["dataLayer", key], at: "key", message });
  }
}

function isOf({ spec }: PluginEntry, type: string): boolean {
  return spec.type === type;
}

/** What the file says goes before what the command line says. */
function metricsOf(source: PluginEntry, defaults: MetricsDefaults): MetricsSourceSpec {
  const made = make(source) as MetricsSourceSpec;
  const isSaid = source.spec.parameters["interval"] !== undefined;
  return {
    ...made,
    intervalMs: isSaid ? made.intervalMs : defaults.intervalMs,
    staleAfterMs: defaults.staleAfterMs,
  };
}

/** Sources and extractors of metrics make a part of the `DataSpec`, and use nothing of the machine. */
function make({ definition, spec }: PluginEntry): unknown {
  return definition.create(definition.parameters.parse(spec.parameters), {
    name: spec.name,
  } as Pick<PluginHost, "name"> as PluginHost);
}
