/** The data layer of pools: what reads metrics, and where endpoints come from. */
import type { HttpPoolOptions } from "../contracts/options.ts";
import type { EndpointDiscovery, PageExtractor } from "../contracts/plugins/data.ts";
import type { PluginHost } from "../contracts/plugins/plugin.ts";
import type { NamedExtractor, Scraping } from "../endpoints/metrics/pool-metrics.ts";
import { createScrapeCounts } from "../endpoints/metrics/scrape-metrics.ts";
import type { NeededSignal } from "../endpoints/metrics/signal-reader.ts";
import { ScrapeWheel } from "../endpoints/metrics/scrape-wheel.ts";
import { createScarcityGauges, type ScarcityGauges } from "../endpoints/scarcity/scarcity-metrics.ts";
import type { PluginRegistry } from "../plugins/plugin-registry.ts";
import { requireKind, resolvePlugin, type ResolvedPlugin } from "../plugins/resolve-plugins.ts";
import { GatewayError } from "../core/errors.ts";
import type { GatewayContext } from "./options.ts";

/** What pools share that read metrics, and that show how scarce their servers are. */
export interface SharedData {
  readonly scraping: Scraping;
  readonly scarcityGauges: ScarcityGauges;
}

/** Makes what all pools share. */
export function createSharedData({ clock, metrics }: Pick<GatewayContext, "clock" | "metrics">): SharedData {
  const scraping = { wheel: new ScrapeWheel(clock), counts: createScrapeCounts(metrics, () => clock.now()) };
  return { scraping, scarcityGauges: createScarcityGauges(metrics) };
}

const always = ["waiting", "running", "kvUsage", "blockTokens", "blocks", "custom"] as const;

/**
 * What is looked for on the pages of a pool's servers: what everything here reads that is not a plugin, the
 * configuration's own mappings, what its profiles read (`wired`), and what the plugins of its configuration say they
 * read, those of shadows included.
 */
export function neededSignals(
  { scheduling, flow }: Pick<HttpPoolOptions, "scheduling" | "flow">,
  wired: Iterable<NeededSignal>,
  plugins: PluginRegistry,
): readonly NeededSignal[] {
  const needed = new Set<NeededSignal>([...always, ...wired]);
  for (const { type, parameters } of [...(scheduling?.plugins ?? []), ...(flow?.plugins ?? [])]) {
    const definition = plugins.find(type);
    const parsed = definition?.parameters.safeParse(parameters);
    const more = parsed?.success === true ? definition?.needsOf?.(parsed.data) : undefined;
    for (const signal of [...(definition?.needs?.signals ?? []), ...(more?.signals ?? [])])
      needed.add(signal);
  }
  return [...needed];
}

/** The discovery of a pool; undefined where it has none. Throws a `GatewayError` that names what is wrong with it. */
export function createPoolDiscovery(
  { data }: Pick<HttpPoolOptions, "data">,
  plugins: PluginRegistry,
  context: PluginContext,
): EndpointDiscovery | undefined {
  if (data?.discovery === undefined) return undefined;
  const resolved = resolvePlugin(data.discovery, plugins, context.logger);
  requireKind(resolved, "discovery");
  // Its kind says what it makes.
  return make(resolved, context) as EndpointDiscovery;
}

/** The plugins that read a pool's pages beside the mappings. Throws a `GatewayError` that names what is wrong with one. */
export function createExtractors(
  { data }: Pick<HttpPoolOptions, "data">,
  plugins: PluginRegistry,
  context: PluginContext,
): readonly NamedExtractor[] {
  return (data?.extractors ?? []).map((spec) => {
    const resolved = resolvePlugin(spec, plugins, context.logger);
    requireKind(resolved, "extractor");
    const made = make(resolved, context);
    if (!isPageExtractor(made)) {
      throw new GatewayError(
        "bad_request",
        `Plugin ${resolved.name}: what it makes has no extract(page, endpoint, tell)`,
      );
    }
    return { type: resolved.definition.type, extractor: made };
  });
}

function isPageExtractor(made: unknown): made is PageExtractor {
  return typeof made === "object" && made !== null && "extract" in made && typeof made.extract === "function";
}

type PluginContext = Pick<GatewayContext, "clock" | "random" | "logger" | "metrics">;

function make({ name, definition, parameters }: ResolvedPlugin, context: PluginContext): unknown {
  const { clock, random, logger, metrics } = context;
  const dataIndex = (): never => {
    throw new GatewayError(
      "bad_request",
      `Plugin ${name}: a plugin of the data layer reads nothing of requests`,
    );
  };
  const host: PluginHost = { name, clock, random, logger, metrics, dataIndex };
  return definition.create(parameters, host);
}
