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

/** What the llm-d router does without a configuration: prompts that are cached, short queues and free caches, 3 : 2 : 2. */
export const routerScheduling: SchedulingSpec = {
  plugins: plainPlugins(
    "single-profile-handler",
    "queue-scorer",
    "kv-cache-utilization-scorer",
    "prefix-cache-scorer",
    "max-score-picker",
  ),
  profiles: [
    {
      name: "default",
      filters: [],
      scorers: [
        { plugin: "queue-scorer", weight: 2 },
        { plugin: "kv-cache-utilization-scorer", weight: 2 },
        { plugin: "prefix-cache-scorer", weight: 3 },
      ],
      picker: "max-score-picker",
    },
  ],
  handler: "single-profile-handler",
  shadows: [],
};
