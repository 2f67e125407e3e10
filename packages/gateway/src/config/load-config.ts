/** Reads `spillway.yaml`: text to compiled configuration, or every mistake in it at once. */
import { existsSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { compileConfig, type CompiledConfig } from "./compiled.ts";
import { findRepository } from "./builtin.ts";
import { readDocument, readText, whyUnreadable } from "./read-document.ts";
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
    return compile(configSchema.parse({ edge: {} }), resolve(workingDirectory));
  }
  const path = resolve(workingDirectory, file);
  let text: string;
  try {
    text = await readText(path);
  } catch (error) {
    return { errors: [`${file}: ${whyUnreadable(error)}`] };
  }
  return parseConfig(text, { file, directory: dirname(path), environment });
}

/** What `parseConfig` needs beside the text. */
export interface ParseOptions {
  /** How messages call the file; default `spillway.yaml`. */
  readonly file?: string;
  /** Folder that relative paths start from. */
  readonly directory: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** Reads a configuration's text. */
export function parseConfig(text: string, options: ParseOptions): ConfigResult {
  const { file = "spillway.yaml", directory, environment } = options;
  const result = readDocument(text, {
    schema: configSchema,
    file,
    environment,
    findContradictions,
  });
  return "errors" in result ? result : compile(result.value, directory);
}

function compile(config: DefaultedConfig, directory: string): ConfigResult {
  const compiled = compileConfig(config, { directory, repository: findRepository(directory) });
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
