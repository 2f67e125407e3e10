/** Older ways to write what is written otherwise today: each still works, with a warning that says how. */
import type { Problem } from "../source.ts";
import { apiVersions } from "./schema.ts";
import type { WrittenPlugin } from "./plugin-list.ts";

/** Plugins as they are written today, and what was older about them. */
export interface Modernised {
  readonly plugins: readonly WrittenPlugin[];
  readonly warnings: readonly Problem[];
}

/** Types that have another name today. */
const renamed: Readonly<Record<string, string>> = {
  tokenizer: "token-producer",
  "by-label-selector": "label-selector-filter",
};

/** Parameters of `prefix-cache-scorer` that belong to the producer of what it reads today, and their names there. */
const prefixParameters: Readonly<Record<string, string>> = {
  autoTune: "autoTune",
  blockSize: "blockSizeTokens",
  hashBlockSize: "blockSizeTokens",
  blockSizeTokens: "blockSizeTokens",
  maxPrefixBlocksToMatch: "maxPrefixBlocksToMatch",
  maxPrefixTokensToMatch: "maxPrefixTokensToMatch",
  lruCapacityPerServer: "lruCapacityPerServer",
};

const prefixProducer = "approx-prefix-cache-producer";

/** Writes plugins as they are written today. */
export function modernise(written: readonly WrittenPlugin[]): Modernised {
  const warnings: Problem[] = [];
  const renamedPlugins = written.map((plugin) => rename(plugin, warnings));
  const declares = renamedPlugins.some(({ type }) => type === prefixProducer);
  const plugins = renamedPlugins.flatMap((plugin) => {
    if (plugin.type === prefixProducer) return [renameBlockSize(plugin, warnings)];
    if (plugin.type === "prefix-cache-scorer" && !declares) return splitPrefixScorer(plugin, warnings);
    return [plugin];
  });
  return { plugins, warnings };
}

/** The name stays: references are to it. */
function rename(plugin: WrittenPlugin, warnings: Problem[]): WrittenPlugin {
  const today = Object.hasOwn(renamed, plugin.type) ? renamed[plugin.type] : undefined;
  if (today === undefined) return plugin;
  const message = `"${plugin.type}" is called "${today}" today`;
  warnings.push({ path: [...plugin.path, "type"], message });
  return { ...plugin, type: today };
}

function renameBlockSize(plugin: WrittenPlugin, warnings: Problem[]): WrittenPlugin {
  const { blockSize, ...rest } = plugin.parameters;
  if (blockSize === undefined) return plugin;
  const path = [...plugin.path, "parameters", "blockSize"];
  warnings.push({ path, at: "key", message: `"blockSize" is called "blockSizeTokens" today` });
  return { ...plugin, parameters: { blockSizeTokens: blockSize, ...rest } };
}

/** Before the producer was a plugin of its own, the scorer had its parameters. */
function splitPrefixScorer(plugin: WrittenPlugin, warnings: Problem[]): WrittenPlugin[] {
  const moved: Record<string, unknown> = {};
  const kept: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(plugin.parameters)) {
    const today = Object.hasOwn(prefixParameters, key) ? prefixParameters[key] : undefined;
    if (today === undefined) kept[key] = value;
    else moved[today] = value;
  }
  if (Object.keys(moved).length === 0) return [plugin];
  const message = `${Object.keys(moved).join(", ")}: parameters of a plugin of the type "${prefixProducer}" today, which is made of them`;
  warnings.push({ path: [...plugin.path, "parameters"], message });
  const producer = { name: prefixProducer, type: prefixProducer, parameters: moved, path: plugin.path };
  return [producer, { ...plugin, parameters: kept }];
}

/** A warning for a group and version that is not today's. */
export function oldVersion(apiVersion: string): Problem[] {
  const [today] = apiVersions;
  if (apiVersion === today) return [];
  return [{ path: ["apiVersion"], message: `"${apiVersion}" is called "${today}" today` }];
}
