/** Every plugin that is built in. */
import type { PluginDefinition } from "../contracts/plugins/plugin.ts";
import { dataPlugins } from "./data-plugins.ts";
import { loadedModelFilter } from "./filters/loaded-model-filter.ts";
import { singleProfileHandler } from "./handlers/single-profile-handler.ts";
import { maxScorePicker } from "./pickers/max-score-picker.ts";
import { ruleDefinitions } from "./rules/index.ts";
import { outstandingWorkScorer } from "./scorers/outstanding-work-scorer.ts";

/** In the order in which the reference page tells them. */
export const builtInPlugins: readonly PluginDefinition[] = [
  loadedModelFilter,
  outstandingWorkScorer,
  maxScorePicker,
  singleProfileHandler,
  ...ruleDefinitions,
  ...dataPlugins,
];
