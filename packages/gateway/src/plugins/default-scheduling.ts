/** Profiles that pools have where their configuration names none. */
import type { PluginSpec } from "../contracts/plugins/plugin.ts";
import type { SchedulingSpec } from "../contracts/plugins/scheduling.ts";

/** Plugins without a name or parameters of their own. */
export function plainPlugins(...types: readonly string[]): PluginSpec[] {
  return types.map((type) => ({ name: type, type, parameters: {} }));
}

/**
 * For servers whose metrics are not read (Ollama and others): where the model is in memory first, then least outstanding
 * work for the measured speed.
 */
export const leastWorkScheduling: SchedulingSpec = {
  plugins: plainPlugins(
    "single-profile-handler",
    "loaded-model-filter",
    "outstanding-work-scorer",
    "max-score-picker",
  ),
  profiles: [
    {
      name: "default",
      filters: ["loaded-model-filter"],
      scorers: [{ plugin: "outstanding-work-scorer", weight: 1 }],
      picker: "max-score-picker",
    },
  ],
  handler: "single-profile-handler",
  shadows: [],
};

/**
 * For servers whose metrics are read: what a simulated fleet does best with over eight loads
 * (docs/decisions/0012-the-default-profile.md). Where the prompt is cached goes first, as long as the server has neither
 * much more of prompts to compute nor many more requests under way than others, both by what this gateway has sent there;
 * adapters stay where they are loaded.
 */
export const cacheAwareScheduling: SchedulingSpec = {
  plugins: [
    ...plainPlugins(
      "single-profile-handler",
      "prefix-cache-scorer",
      "active-request-scorer",
      "lora-affinity-scorer",
      "max-score-picker",
    ),
    // About two seconds of computing prompts on two H100 with a model of 32 billion parameters.
    { name: "token-load-scorer", type: "token-load-scorer", parameters: { queueThresholdTokens: 32_768 } },
  ],
  profiles: [
    {
      name: "default",
      filters: [],
      scorers: [
        { plugin: "prefix-cache-scorer", weight: 3 },
        { plugin: "token-load-scorer", weight: 2 },
        { plugin: "active-request-scorer", weight: 3 },
        { plugin: "lora-affinity-scorer", weight: 2 },
      ],
      picker: "max-score-picker",
    },
  ],
  handler: "single-profile-handler",
  shadows: [],
};

/** What a pool has that names no profiles. */
export function defaultScheduling({ readsMetrics }: { readonly readsMetrics: boolean }): SchedulingSpec {
  return readsMetrics ? cacheAwareScheduling : leastWorkScheduling;
}
