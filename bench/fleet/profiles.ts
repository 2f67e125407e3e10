/** Scheduling layers of the gateway that are compared: those that others ship or recommend, and our own. */
import type { PluginSpec } from "../../packages/gateway/src/contracts/plugins/plugin.ts";
import type { SchedulingSpec } from "../../packages/gateway/src/contracts/plugins/scheduling.ts";
import { cacheAwareScheduling } from "../../packages/gateway/src/plugins/default-scheduling.ts";
import { gatewayRouter } from "./gateway-router.ts";
import type { RouterKind } from "./router.ts";

/** A layer of one profile: weights by scorer, parameters where they are not the defaults, and filters. */
export interface Recipe {
  readonly scorers: Readonly<Record<string, number>>;
  readonly parameters?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  readonly filters?: readonly string[];
  readonly picker?: string;
}

/** The layer of a recipe. */
export function schedulingOf({
  scorers,
  parameters = {},
  filters = [],
  picker = "max-score-picker",
}: Recipe): SchedulingSpec {
  const types = new Set([
    ...Object.keys(scorers),
    ...filters,
    picker,
    "single-profile-handler",
    ...Object.keys(parameters),
  ]);
  const plugins = [...types].map((type): PluginSpec => ({
    name: type,
    type,
    parameters: parameters[type] ?? {},
  }));
  return {
    plugins,
    profiles: [
      {
        name: "default",
        filters,
        scorers: Object.entries(scorers).map(([plugin, weight]) => ({ plugin, weight })),
        picker,
      },
    ],
    handler: "single-profile-handler",
    shadows: [],
  };
}

const kv = "kv-cache-utilization-scorer";

/** By name: what llm-d and the inference extension ship or recommend, what a search over simulated runs found (BLIS), and ours. */
export const recipes: Readonly<Record<string, Recipe>> = {
  "prefix 3, queue 2, KV 2": { scorers: { "prefix-cache-scorer": 3, "queue-scorer": 2, [kv]: 2 } },
  "prefix 1, queue 1, KV 1": { scorers: { "prefix-cache-scorer": 1, "queue-scorer": 1, [kv]: 1 } },
  "prefix 3, queue 2, KV 2, no-hit LRU 2": {
    scorers: { "prefix-cache-scorer": 3, "queue-scorer": 2, [kv]: 2, "no-hit-lru-scorer": 2 },
  },
  "prefix affinity, token load": {
    filters: ["prefix-cache-affinity-filter"],
    scorers: { "token-load-scorer": 1 },
  },
  "prefix 4, queue 3": { scorers: { "prefix-cache-scorer": 4, "queue-scorer": 3 } },
};

/** What the gateway ships for pools whose metrics are read. */
export const shipped: RouterKind = gatewayRouter("shipped", { scheduling: cacheAwareScheduling });

/** The shipped layer and those that it is held against. */
export const comparedProfiles: readonly RouterKind[] = [
  shipped,
  ...Object.entries(recipes).map(([name, recipe]) =>
    gatewayRouter(name, { scheduling: schedulingOf(recipe) }),
  ),
];
