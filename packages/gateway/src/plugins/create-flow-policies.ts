/** Makes a flow control that can run of one that a configuration describes. */
import type {
  BandSpec,
  EvictionPolicy,
  FairnessPolicy,
  FlowSpec,
  OrderingPolicy,
  SaturationSignal,
  UsageLimitPolicy,
} from "../contracts/plugins/flow.ts";
import type { PluginKind, SignalName } from "../contracts/plugins/plugin.ts";
import type { WiredBand, WiredFlow } from "../contracts/plugins/wired-flow.ts";
import type { Named } from "../contracts/plugins/wired-scheduling.ts";
import { GatewayError } from "../core/errors.ts";
import type { ProfilesHost } from "./create-profiles.ts";
import type { PluginRegistry } from "./plugin-registry.ts";
import { requireKind, resolvePlugin, type ResolvedPlugin } from "./resolve-plugins.ts";

/**
 * Makes the policies that the description names; a name that its plugins lack is that of a type, without parameters.
 * Each band has policies of its own. Throws a `GatewayError` (`bad_request`) that names the plugin, and the parameter
 * where one is at fault.
 */
export function createFlowPolicies(spec: FlowSpec, registry: PluginRegistry, host: ProfilesHost): WiredFlow {
  const plugins = new FlowPlugins(spec, registry, host);
  const bands = new Map(spec.bands.map((band) => [band.priority, band]));
  const bandOf = (priority: number): BandSpec =>
    bands.get(priority) ?? (priority < 0 ? spec.defaultNegativeBand : spec.defaultBand);
  const all = [...spec.bands, spec.defaultBand, spec.defaultNegativeBand];
  for (const band of all) plugins.check(band);
  return {
    mode: spec.mode ?? "wait",
    maxRequests: spec.maxRequests,
    maxBytes: spec.maxBytes,
    maxTokens: spec.maxTokens,
    noEndpointTtlMs: spec.noEndpointTtlMs,
    priorities: [...bands.keys()],
    band: (priority) => plugins.band(bandOf(priority), spec.defaultTtlMs),
    saturation: plugins.make<SaturationSignal>(spec.saturation, "saturation"),
    usageLimit: plugins.make<UsageLimitPolicy>(spec.usageLimit, "usage-limit"),
    eviction:
      spec.eviction === undefined ? undefined : plugins.make<EvictionPolicy>(spec.eviction, "eviction"),
    needsBody: plugins.needBody || [spec, ...all].some(({ maxTokens }) => maxTokens !== Infinity),
    signals: plugins.signals,
  };
}

class FlowPlugins {
  readonly #resolved = new Map<string, ResolvedPlugin>();
  readonly #registry: PluginRegistry;
  readonly #host: ProfilesHost;
  /** Of all that were asked for. */
  readonly signals = new Set<SignalName>();
  /** Whether one of those needs requests whole. */
  needBody = false;

  constructor(spec: FlowSpec, registry: PluginRegistry, host: ProfilesHost) {
    this.#registry = registry;
    this.#host = host;
    for (const plugin of spec.plugins) {
      this.#resolved.set(plugin.name, resolvePlugin(plugin, registry, host.logger));
    }
  }

  /** Throws where a band names what is no policy of its kind. */
  check({ fairness, ordering }: BandSpec): void {
    this.#find(fairness, "fairness");
    this.#find(ordering, "ordering");
  }

  band(spec: BandSpec, defaultTtlMs: number): WiredBand {
    const { maxRequests, maxBytes, maxTokens, ttlMs = defaultTtlMs } = spec;
    const fairness = this.make<FairnessPolicy>(spec.fairness, "fairness");
    const ordering = this.make<OrderingPolicy>(spec.ordering, "ordering");
    return { maxRequests, maxBytes, maxTokens, ttlMs, fairness, ordering };
  }

  make<T>(name: string, kind: PluginKind): Named<T> {
    const { definition, parameters, needs } = this.#find(name, kind);
    for (const signal of needs.signals ?? []) this.signals.add(signal);
    const dataIndex = (): never => {
      throw new GatewayError("bad_request", `Plugin ${name}: flow control has no data of producers`);
    };
    // What a definition makes fits the kinds that it names: contract tests hold it for built-in plugins and users' alike.
    return { name, plugin: definition.create(parameters, { ...this.#host, name, dataIndex }) as T };
  }

  #find(name: string, kind: PluginKind): ResolvedPlugin {
    const plugin =
      this.#resolved.get(name) ??
      resolvePlugin({ name, type: name, parameters: {} }, this.#registry, this.#host.logger);
    this.#resolved.set(name, plugin);
    requireKind(plugin, kind);
    if (plugin.needs.body === true) this.needBody = true;
    return plugin;
  }
}
