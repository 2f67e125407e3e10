/** For writing plugins: infers the parameters' type from the schema. */
import type { PluginDefinition } from "../contracts/plugins/plugin.ts";

/** The definition as it is, for the list of definitions and for files of users' plugins. */
export function definePlugin<T, P>(definition: PluginDefinition<T, P>): PluginDefinition<T, P> {
  return definition;
}
