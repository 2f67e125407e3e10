/** Which requests are understood, as an `EndpointPickerConfig` says it. */
import type { PluginList } from "./plugin-list.ts";
import type { EndpointPickerFile } from "./schema.ts";

/** Types of the parsers that a file names; undefined where it names none. */
export function compileParsers(file: EndpointPickerFile, list: PluginList): readonly string[] | undefined {
  const today = file.requestHandler?.parsers ?? undefined;
  const older = file.parser ?? undefined;
  if (older !== undefined) {
    const message =
      today === undefined
        ? "the older place of requestHandler.parsers"
        : "requestHandler.parsers counts, this older place does not";
    list.warnings.push({ path: ["parser"], at: "key", message });
  }
  const references =
    today?.map(({ pluginRef }, index) => ({ pluginRef, path: ["requestHandler", "parsers", index] })) ??
    (older === undefined ? [] : [{ pluginRef: older.pluginRef, path: ["parser"] }]);
  const types = references.flatMap(({ pluginRef, path }) => {
    const at = { path: [...path, "pluginRef"], kinds: ["parser"] as const };
    return list.resolve(pluginRef, at)?.spec.type ?? [];
  });
  return types.length === 0 ? undefined : [...new Set(types)];
}
