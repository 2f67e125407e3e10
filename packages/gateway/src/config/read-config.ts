/** Reads the text of a `spillway.yaml`, and what it says of plugins. */
import { compileInFolder, type ConfigResult } from "./compile-in-folder.ts";
import { loadPlugins, noPlugins, resolvePlugins, type LoadedPlugins } from "./config-plugins.ts";
import { failed, readDocument, type DocumentResult } from "./read-document.ts";
import { findContradictions } from "./relations.ts";
import { configSchema, type DefaultedConfig } from "./schema.ts";

/** What is needed beside the text. */
export interface ParseOptions {
  /** How messages call the file; default `spillway.yaml`. */
  readonly file?: string;
  /** Folder that relative paths start from. */
  readonly directory: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** Reads a configuration's text and the files that it names: those of plugins and of pickers. Never rejects. */
export async function readConfig(text: string, options: ParseOptions): Promise<ConfigResult> {
  const read = readConfigText(text, options);
  if ("errors" in read) return read;
  return finish(read, { ...options, plugins: await loadPlugins(read.value, options) });
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
  const read = readDocument(text, { schema: configSchema, file, environment, findContradictions });
  if (!("errors" in read) || !/^kind: *EndpointPickerConfig\b/m.test(text)) return read;
  const where =
    'a pool names it as pickerConfig, and "spillway picker --config-file" and "check --config-file" read it';
  return { errors: [`${file}: is an EndpointPickerConfig, not a configuration of the gateway: ${where}`] };
}

type ReadText = Exclude<DocumentResult<DefaultedConfig>, { readonly errors: unknown }>;

/** What plugins are there is known: what the text says of them can be looked at. */
function finish(
  { value, describeAll }: ReadText,
  { plugins, directory }: ParseOptions & { readonly plugins: LoadedPlugins },
): ConfigResult {
  const resolved = resolvePlugins(value, { plugins, directory });
  const errors = [...plugins.errors, ...describeAll(resolved.problems)];
  if (errors.length > 0) return failed(errors);
  const notes = [...plugins.notes, ...describeAll(resolved.warnings)];
  const { definitions } = plugins;
  return { config: compileInFolder(value, directory, { pools: resolved.pools, definitions, notes }) };
}
