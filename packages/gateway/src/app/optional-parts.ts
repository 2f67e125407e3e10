/** Parts of forwarding that only some configurations need. A module costs memory for as long as the process runs. */
import { isHttpPool } from "../contracts/options.ts";
import type { PluginDefinition } from "../contracts/plugins/plugin.ts";
import type { GatewayConfig } from "./options.ts";
import type { createPickerWatch } from "./picker-watch.ts";
import type { createPoolFlow } from "./pool-flow.ts";
import type { createRules } from "./rules.ts";

/** What a configuration needs of them; undefined: it does not. */
export interface OptionalParts {
  /** Plugins that its pools and rules can be made of; those of the scheduling layer at least. */
  readonly plugins: readonly PluginDefinition[];
  readonly createPoolFlow: typeof createPoolFlow | undefined;
  readonly createPickerWatch: typeof createPickerWatch | undefined;
  readonly createRules: typeof createRules | undefined;
}

/** Loads what the configuration needs. */
export async function loadOptionalParts(
  config: Pick<GatewayConfig, "pools" | "rules" | "plugins">,
): Promise<OptionalParts> {
  const pools = config.pools.filter(isHttpPool);
  const hasFlow = pools.some(({ flow }) => flow !== undefined);
  const hasScheduling = pools.some(({ scheduling }) => scheduling !== undefined);
  const hasRules = config.rules.length > 0;
  const hasData = pools.some(({ data }) => data !== undefined);
  const hasMore = hasFlow || hasRules || hasData || config.plugins.length > 0;
  return {
    plugins: hasMore
      ? (await import("../plugins/index.ts")).builtInPlugins
      : (await import("../plugins/scheduling-plugins.ts")).schedulingPlugins,
    createPoolFlow: hasFlow ? (await import("./pool-flow.ts")).createPoolFlow : undefined,
    createPickerWatch: hasScheduling ? (await import("./picker-watch.ts")).createPickerWatch : undefined,
    createRules: hasRules ? (await import("./rules.ts")).createRules : undefined,
  };
}
