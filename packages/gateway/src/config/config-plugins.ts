/** The plugins of a `spillway.yaml`: files of one's own, files of pickers, and what pools and rules say of them. */
import { resolve } from "node:path";
import type { PluginDefinition } from "../contracts/plugins/plugin.ts";
import { builtInPlugins } from "../plugins/index.ts";
import { PluginRegistry } from "../plugins/plugin-registry.ts";
import { loadEndpointPicker, type EndpointPicker } from "./endpoint-picker/load-endpoint-picker.ts";
import { loadPluginFile } from "./plugin-files.ts";
import { compilePoolPlugins, type PoolPlugins } from "./pool-plugins.ts";
import { isHttpDefaulted, type DefaultedHttpPool } from "./pool-schema.ts";
import { findRuleProblems } from "./rule-relations.ts";
import type { DefaultedConfig } from "./schema.ts";
import type { Problem } from "./source.ts";

/** What the files that a configuration names have. */
export interface LoadedPlugins {
  readonly definitions: readonly PluginDefinition[];
  /** Those of `pickerConfig`, by the name of the pool. */
  readonly pickers: ReadonlyMap<string, EndpointPicker>;
  readonly errors: readonly string[];
  readonly notes: readonly string[];
}

/** Of a configuration that names no file. */
export const noPlugins: LoadedPlugins = { definitions: [], pickers: new Map(), errors: [], notes: [] };

/** All plugins there are beside a configuration's own definitions. */
export function createRegistry(definitions: readonly PluginDefinition[]): PluginRegistry {
  return new PluginRegistry([...builtInPlugins, ...definitions]);
}

/** Reads the files that a configuration names. Never rejects. */
export async function loadPlugins(
  config: DefaultedConfig,
  { directory }: { readonly directory: string },
): Promise<LoadedPlugins> {
  const { definitions, errors } = await loadDefinitions(config.plugins, directory);
  const registry = createRegistry(definitions);
  errors.push(...registry.conflicts.map(({ type, message }) => `plugins: ${type}: ${message}`));
  const pickers = new Map<string, EndpointPicker>();
  const notes: string[] = [];
  for (const [name, { pickerConfig }] of httpPools(config)) {
    if (pickerConfig === undefined) continue;
    const result = await loadEndpointPicker(pickerConfig, { workingDirectory: directory, registry });
    if ("errors" in result) errors.push(...result.errors);
    else {
      pickers.set(name, result.picker);
      notes.push(...result.warnings);
    }
  }
  return { definitions, pickers, errors, notes };
}

/** The definitions of files of plugins, relative to a folder. Never rejects. */
export async function loadDefinitions(
  files: readonly string[],
  directory: string,
): Promise<{ readonly definitions: PluginDefinition[]; readonly errors: string[] }> {
  const loaded: { definitions: PluginDefinition[]; errors: string[] } = { definitions: [], errors: [] };
  for (const name of files) {
    const { definitions, errors } = await loadPluginFile({ name, path: resolve(directory, name) });
    loaded.definitions.push(...definitions);
    loaded.errors.push(...errors);
  }
  return loaded;
}

/** What pools say of plugins, and what is wrong with that. */
export interface ResolvedPlugins {
  readonly pools: ReadonlyMap<string, PoolPlugins>;
  readonly problems: readonly Problem[];
  readonly warnings: readonly Problem[];
}

/** Looks at what a configuration says of plugins. */
export function resolvePlugins(
  config: DefaultedConfig,
  { plugins, directory }: { readonly plugins: LoadedPlugins; readonly directory: string },
): ResolvedPlugins {
  const registry = createRegistry(plugins.definitions);
  const problems: Problem[] = findRuleProblems(config, registry);
  const warnings: Problem[] = [];
  const pools = new Map<string, PoolPlugins>();
  for (const [name, pool] of httpPools(config)) {
    const path = ["pools", name];
    problems.push(...findBoth(pool, path));
    const picker = plugins.pickers.get(name);
    if (picker !== undefined) {
      const { scheduling, flow, data } = picker;
      pools.set(name, { scheduling, flow, data });
      warnings.push(...notePickerExtras(picker, path));
      continue;
    }
    const resolvePath = (file: string): string => resolve(directory, file);
    pools.set(name, compilePoolPlugins(pool, { path, registry, resolvePath, problems, warnings }));
  }
  return { pools, problems, warnings };
}

function httpPools({ pools }: DefaultedConfig): (readonly [string, DefaultedHttpPool])[] {
  return Object.entries(pools).flatMap(([name, pool]) =>
    isHttpDefaulted(pool) ? [[name, pool] as const] : [],
  );
}

/** A picker's file stands in the place of the pool's own words. */
function findBoth(pool: DefaultedHttpPool, path: readonly PropertyKey[]): Problem[] {
  if (pool.pickerConfig === undefined) return [];
  return (["scheduling", "flow", "metrics", "discovery"] as const).flatMap((key) =>
    pool[key] === undefined
      ? []
      : [
          {
            path: [...path, key],
            at: "key" as const,
            message: "pickerConfig says it already; take one of them away",
          },
        ],
  );
}

/** What a picker's file says that concerns more than one pool. */
function notePickerExtras({ rules }: EndpointPicker, path: readonly PropertyKey[]): Problem[] {
  if (rules.length === 0) return [];
  const names = rules.map(({ name }) => name).join(", ");
  return [
    {
      path: [...path, "pickerConfig"],
      message: `rules (${names}) belong under rules of this file: there they are not run`,
    },
  ];
}
