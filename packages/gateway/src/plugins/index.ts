/** Every plugin that is built in. */
import type { PluginDefinition } from "../contracts/plugins/plugin.ts";
import { dataPlugins } from "./data-plugins.ts";
import { flowPlugins } from "./flow-plugins.ts";
import { parserPlugins } from "./parsers.ts";
import { ruleDefinitions } from "./rules/index.ts";
import { schedulingPlugins } from "./scheduling-plugins.ts";

/** In the order in which the reference page tells them. */
export const builtInPlugins: readonly PluginDefinition[] = [
  ...schedulingPlugins,
  ...ruleDefinitions,
  ...flowPlugins,
  ...dataPlugins,
  ...parserPlugins,
];
