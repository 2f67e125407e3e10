/** The data layer of pools: what reads metrics, and where endpoints come from. */
import type { HttpPoolOptions } from "../contracts/options.ts";
import type { EndpointDiscovery } from "../contracts/plugins/data.ts";
import type { Scraping } from "../endpoints/metrics/pool-metrics.ts";
import { createScrapeCounts } from "../endpoints/metrics/scrape-metrics.ts";
import { ScrapeWheel } from "../endpoints/metrics/scrape-wheel.ts";
import { createScarcityGauges, type ScarcityGauges } from "../endpoints/scarcity/scarcity-metrics.ts";
import type { PluginRegistry } from "../plugins/plugin-registry.ts";
import { requireKind, resolvePlugin } from "../plugins/resolve-plugins.ts";
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

/** The discovery of a pool; undefined where it has none. Throws a `GatewayError` that names what is wrong with it. */
export function createPoolDiscovery(
  { data }: Pick<HttpPoolOptions, "data">,
  plugins: PluginRegistry,
  context: Pick<GatewayContext, "clock" | "random" | "logger" | "metrics">,
): EndpointDiscovery | undefined {
  if (data?.discovery === undefined) return undefined;
  const resolved = resolvePlugin(data.discovery, plugins, context.logger);
  requireKind(resolved, "discovery");
  const { clock, random, logger, metrics } = context;
  const dataIndex = (): never => {
    throw new GatewayError("bad_request", `Plugin ${resolved.name}: a discovery reads nothing of requests`);
  };
  const host = { name: resolved.name, clock, random, logger, metrics, dataIndex };
  // Its kind says what it makes.
  return resolved.definition.create(resolved.parameters, host) as EndpointDiscovery;
}
