/** Makes a scheduling layer that can run of one that a configuration describes. */
import type { PluginHost, PluginKind, PluginSpec, SignalName } from "../contracts/plugins/plugin.ts";
import type {
  Filter,
  Picker,
  Producer,
  ProfileHandler,
  ProfileSpec,
  RequestObserver,
  SchedulingSpec,
  Scorer,
} from "../contracts/plugins/scheduling.ts";
import { inflightTokensKey } from "../contracts/plugins/data-keys.ts";
import type { Named, WiredProfile, WiredScheduling } from "../contracts/plugins/wired-scheduling.ts";
import { GatewayError } from "../core/errors.ts";
import { createSeededRandom } from "../core/random.ts";
import { addMissingProducers, DataPlaces, inOrder } from "./data-wiring.ts";
import type { PluginRegistry } from "./plugin-registry.ts";
import { requireKind, resolvePlugin, type ResolvedPlugin } from "./resolve-plugins.ts";

/** What plugins are made with; the rest of `PluginHost` is each plugin's own. */
export type ProfilesHost = Omit<PluginHost, "name" | "dataIndex">;

const kinds: readonly PluginKind[] = ["filter", "scorer", "picker", "profile-handler", "producer"];

/**
 * Makes every plugin of the scheduling layer that the description names, and the producers that they need. Plugins of
 * other layers are left out. Throws a `GatewayError` (`bad_request`) that names the plugin, the parameter or the profile at
 * fault.
 */
export function createProfiles(
  spec: SchedulingSpec,
  registry: PluginRegistry,
  host: ProfilesHost,
): WiredScheduling {
  const resolve = (plugin: PluginSpec): ResolvedPlugin => resolvePlugin(plugin, registry, host.logger);
  const named = spec.plugins.map(resolve);
  requireUniqueNames(named);
  const own = named.filter(({ definition }) => definition.kinds.some((kind) => kinds.includes(kind)));
  const plugins = addMissingProducers(own, resolve);
  const places = new DataPlaces(plugins);
  const random = spec.seed === undefined ? host.random : createSeededRandom(spec.seed);
  const made = new MadePlugins(plugins, places, { ...host, random });
  const producers = inOrder(plugins.filter(({ definition }) => definition.kinds.includes("producer")));
  const profiles = spec.profiles.map((profile) => made.profile(profile));
  const handler = made.get<ProfileHandler>(spec.handler, "profile-handler", "the handler");
  handler.plugin.check?.(profiles.map(({ name }) => name));
  const signals = new Set<SignalName>(plugins.flatMap(({ needs }) => needs.signals ?? []));
  return {
    producers: producers.map(({ name }) => made.get<Producer>(name, "producer", "the list of plugins")),
    handler,
    profiles,
    observers: made.observers(),
    dataSize: places.size,
    inflightIndex: places.find(inflightTokensKey) ?? -1,
    readsPrompt: plugins.some(({ needs }) => needs.prompt === true),
    needsBody: plugins.some(({ needs }) => needs.prompt === true || needs.body === true),
    signals,
  };
}

function requireUniqueNames(plugins: readonly ResolvedPlugin[]): void {
  const names = new Set<string>();
  for (const { name } of plugins) {
    if (names.has(name)) throw new GatewayError("bad_request", `Two plugins have the name ${name}`);
    names.add(name);
  }
}

/** The plugins, each made once. */
class MadePlugins {
  readonly #plugins = new Map<string, { readonly resolved: ResolvedPlugin; readonly made: unknown }>();

  constructor(plugins: readonly ResolvedPlugin[], places: DataPlaces, host: ProfilesHost) {
    for (const resolved of plugins) {
      const { name, definition, parameters } = resolved;
      const dataIndex: PluginHost["dataIndex"] = (key, producer) => places.indexFor(name, key, producer);
      this.#plugins.set(name, {
        resolved,
        made: definition.create(parameters, { ...host, name, dataIndex }),
      });
    }
  }

  get<T>(name: string, kind: PluginKind, whose: string): Named<T> {
    const found = this.#plugins.get(name);
    if (found === undefined) {
      throw new GatewayError("bad_request", `There is no plugin ${name}, which ${whose} names`);
    }
    requireKind(found.resolved, kind);
    requireMethods(found.made, kind, name);
    // What a definition makes fits the kinds that it names: contract tests hold it for built-in plugins and users' alike.
    return { name, plugin: found.made as T };
  }

  profile({ name, filters, scorers, picker }: ProfileSpec): WiredProfile {
    const whose = `profile ${name}`;
    return {
      name,
      filters: filters.map((filter) => this.get<Filter>(filter, "filter", whose)),
      scorers: scorers.map(({ plugin, weight }) => ({
        ...this.get<Scorer>(plugin, "scorer", whose),
        weight,
      })),
      picker: this.get<Picker>(picker, "picker", whose),
    };
  }

  /** Plugins that have a method of `RequestObserver`. */
  observers(): Named<RequestObserver>[] {
    return [...this.#plugins].flatMap(([name, { made }]) =>
      isObserver(made) ? [{ name, plugin: made }] : [],
    );
  }
}

/** What the engine calls of each kind. A method that is misspelt would be missed by the first request only. */
const called: Readonly<Partial<Record<PluginKind, readonly string[]>>> = {
  filter: ["filter"],
  scorer: ["score"],
  picker: ["pick"],
  "profile-handler": ["next", "primary"],
  producer: ["produce"],
};

function requireMethods(made: unknown, kind: PluginKind, name: string): void {
  const methods = called[kind] ?? [];
  const object = typeof made === "object" && made !== null ? made : {};
  const missing = methods.find((method) => typeof Reflect.get(object, method) !== "function");
  if (missing === undefined) return;
  throw new GatewayError(
    "bad_request",
    `Plugin ${name}: what its create gives has no ${missing}(), which a ${kind} needs`,
  );
}

const hears = ["dispatched", "firstToken", "ended", "forgotten", "answerHeaders"] as const;

function isObserver(plugin: unknown): plugin is RequestObserver {
  return (
    typeof plugin === "object" &&
    plugin !== null &&
    hears.some((method) => method in plugin && typeof Reflect.get(plugin, method) === "function")
  );
}
