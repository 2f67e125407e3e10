/** What every plugin has in common: a type, declared parameters, declared needs. */
import type { z } from "zod";
import type { Clock } from "../../core/clock.ts";
import type { Random } from "../../core/random.ts";
import type { CalloutFactory } from "../http-callout.ts";
import type { Logger, Metrics } from "../telemetry.ts";

/** The slots that a plugin can fill. One plugin may fill several. */
export const pluginKinds = [
  "filter",
  "scorer",
  "picker",
  "profile-handler",
  "producer",
  "admitter",
  "fairness",
  "ordering",
  "saturation",
  "usage-limit",
  "eviction",
  "rule",
  "source",
  "extractor",
  "discovery",
  "parser",
] as const;

/** One of `pluginKinds`. */
export type PluginKind = (typeof pluginKinds)[number];

/**
 * A value that a producer works out once for each request and that filters and scorers read. Compared by identity:
 * whoever produces and whoever reads import the same constant.
 */
export interface DataKey<T> {
  /** For people and error messages: `prefix-match`. */
  readonly name: string;
  /** Type of the plugin that is made by itself where something reads the key and nothing configured produces it. */
  readonly defaultProducer: string;
  /** Never set: carries the type of the value. */
  readonly value?: T;
}

/** Quantities of `ServerSignals`, as plugins ask for them. `adapters` are all that concern LoRA. */
export type SignalName = "waiting" | "running" | "kvUsage" | "blockTokens" | "blocks" | "adapters" | "custom";

/** What a plugin needs and gives, as far as its wiring depends on it. */
export interface PluginNeeds {
  /** Keys that it reads. */
  readonly reads?: readonly DataKey<unknown>[];
  /** Keys that it produces. */
  readonly produces?: readonly DataKey<unknown>[];
  /** Quantities of `ServerSignals` that it reads: only what somebody needs is looked for in pages of metrics. */
  readonly signals?: readonly SignalName[];
  /** True where `promptBytes` of a request, or `prompt` of a rule's, is read, or the prompt is edited. */
  readonly prompt?: boolean;
  /**
   * True where a request must be here whole: more of its body counts than its length and the model that headers name. A
   * request that may be decided on by its head has no prompt, no bound of tokens, and its length is the only estimate.
   * Default: as `prompt`, and true for a rule that says nothing of either.
   */
  readonly body?: boolean;
}

/** What a plugin gets when it is made. */
export interface PluginHost {
  /** The plugin's name in the configuration; its type where it has none. */
  readonly name: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** How services elsewhere are asked. For rules; absent for what runs within a scheduling cycle. */
  readonly callout?: CalloutFactory;
  /** Index of the place in `ScheduledRequest.data` where the key's value is. `producer` names one of several. Throws a `GatewayError` where nothing produces the key. */
  dataIndex(key: DataKey<unknown>, producer?: string): number;
}

/**
 * A kind of plugin: what a file of the configuration's `plugins` exports as default, and what `plugins/index.ts` lists.
 * `T` is the contract of its slot, or the intersection of several.
 */
export interface PluginDefinition<T = unknown, P = unknown> {
  /** As configurations name it: `queue-scorer`. */
  readonly type: string;
  readonly kinds: readonly [PluginKind, ...PluginKind[]];
  /** One sentence for the reference page. */
  readonly summary: string;
  /** Strict: unknown parameters are refused with the name of the plugin and the parameter. */
  readonly parameters: z.ZodType<P>;
  readonly needs?: PluginNeeds;
  /** For needs that depend on the parameters; instead of `needs`. */
  needsOf?(parameters: P): PluginNeeds;
  /** Older names of the type that are accepted with a warning. */
  readonly aliases?: readonly string[];
  /** May throw a `GatewayError` (`bad_request`) that names the parameter at fault. */
  create(parameters: P, host: PluginHost): T;
}

/** A plugin as a configuration names it. */
export interface PluginSpec {
  readonly name: string;
  readonly type: string;
  /** As written; checked against the definition's schema. */
  readonly parameters: Readonly<Record<string, unknown>>;
}
