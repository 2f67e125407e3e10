/** What a configuration comes to in the folder it stands in: with the models, and the detectors, that are there. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { findRepository } from "./builtin.ts";
import { compileConfig, type CompiledConfig, type CompiledPlugins } from "./compiled.ts";
import type { DefaultedConfig } from "./schema.ts";

/** A configuration, or what is wrong: one sentence a problem, `file:line:column: key.path: …`. */
export type ConfigResult = { readonly config: CompiledConfig } | { readonly errors: readonly string[] };

/** Relative paths start from `directory`. */
export function compileInFolder(
  config: DefaultedConfig,
  directory: string,
  plugins: CompiledPlugins,
): CompiledConfig {
  const compiled = compileConfig(config, { directory, repository: findRepository(directory), plugins });
  const { edge, repository } = compiled;
  if (edge === undefined || namesDetectors(config) || servesDigits(repository?.directory)) return compiled;
  return { ...compiled, edge: { ...edge, detectors: [] } };
}

function namesDetectors({ edge }: DefaultedConfig): boolean {
  return typeof edge === "object" && edge.detectors !== undefined;
}

/** The detectors that come with Spillway are of use where the model is. */
function servesDigits(repository: string | undefined): boolean {
  return repository !== undefined && existsSync(join(repository, "digits"));
}
