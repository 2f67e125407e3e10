/** Reads `spillway.yaml`: text to compiled configuration, or every mistake in it at once. */
import { existsSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { compileConfig, withoutPlugins, type CompiledConfig, type CompiledPlugins } from "./compiled.ts";
import { loadPlugins, noPlugins, resolvePlugins, type LoadedPlugins } from "./config-plugins.ts";
import { findRepository } from "./builtin.ts";
import { whyUnreadable } from "../core/why-unreadable.ts";
import { failed, readDocument, readText, type DocumentResult } from "./read-document.ts";
import { findContradictions } from "./relations.ts";
import { configSchema, type DefaultedConfig } from "./schema.ts";

/** A configuration, or what is wrong: one sentence a problem, `file:line:column: key.path: …`. */
export type ConfigResult = { readonly config: CompiledConfig } | { readonly errors: readonly string[] };

/** Where a configuration is read from. */
export interface LoadOptions {
  /** Path of the file; undefined: every default. */
  readonly file: string | undefined;
  /** Folder that `./models` is looked for in when there is no file. */
  readonly workingDirectory: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** Loads a file. Never throws: a file that cannot be read is an error like one that is wrong. */
export async function loadConfig(options: LoadOptions): Promise<ConfigResult> {
  const { file, workingDirectory, environment } = options;
  if (file === undefined) {
    return compile(configSchema.parse({ edge: {} }), resolve(workingDirectory), withoutPlugins);
  }
  const path = resolve(workingDirectory, file);
  let text: string;
  try {
    text = await readText(path);
  } catch (error) {
    return { errors: [`${file}: ${whyUnreadable(error)}`] };
  }
  const place = { file, directory: dirname(path), environment };
  const read = readConfigText(text, place);
  if ("errors" in read) return read;
  return finish(read, { ...place, plugins: await loadPlugins(read.value, place) });
}

/** What `parseConfig` needs beside the text. */
export interface ParseOptions {
  /** How messages call the file; default `spillway.yaml`. */
  readonly file?: string;
  /** Folder that relative paths start from. */
  readonly directory: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** Reads a configuration's text. Files that it names are not read: those of plugins and of pickers are for `loadConfig`. */
export function parseConfig(text: string, options: ParseOptions): ConfigResult {
  const read = readConfigText(text, options);
  return "errors" in read ? read : finish(read, { ...options, plugins: noPlugins });
}

function readConfigText(
  text: string,
  { file = "spillway.yaml", environment }: ParseOptions,
): DocumentResult<DefaultedConfig> {
  return readDocument(text, { schema: configSchema, file, environment, findContradictions });
}

type ReadConfig = Exclude<DocumentResult<DefaultedConfig>, { readonly errors: unknown }>;

/** What plugins are there is known: what the text says of them can be looked at. */
function finish(
  { value, describeAll }: ReadConfig,
  { plugins, directory }: ParseOptions & { readonly plugins: LoadedPlugins },
): ConfigResult {
  const resolved = resolvePlugins(value, { plugins, directory });
  const errors = [...plugins.errors, ...describeAll(resolved.problems)];
  if (errors.length > 0) return failed(errors);
  const notes = [...plugins.notes, ...describeAll(resolved.warnings)];
  return compile(value, directory, { pools: resolved.pools, definitions: plugins.definitions, notes });
}

function compile(config: DefaultedConfig, directory: string, plugins: CompiledPlugins): ConfigResult {
  const compiled = compileConfig(config, { directory, repository: findRepository(directory), plugins });
  const { edge, repository } = compiled;
  if (edge === undefined || namesDetectors(config) || servesDigits(repository?.directory))
    return { config: compiled };
  return { config: { ...compiled, edge: { ...edge, detectors: [] } } };
}

function namesDetectors({ edge }: DefaultedConfig): boolean {
  return typeof edge === "object" && edge.detectors !== undefined;
}

/** The detectors that come with Spillway are of use where the model is. */
function servesDigits(repository: string | undefined): boolean {
  return repository !== undefined && existsSync(join(repository, "digits"));
}
