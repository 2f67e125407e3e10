/** Reads `spillway.yaml`: text to compiled configuration, or every mistake in it at once. */
import { open } from "node:fs/promises";
import { basename, dirname, resolve } from "node:path";
import { compileConfig, type CompiledConfig } from "./compiled.ts";
import { findRepository } from "./builtin.ts";
import { convertText, describeIssues, schemaAt } from "./problems.ts";
import { findContradictions } from "./relations.ts";
import { configSchema, type DefaultedConfig } from "./schema.ts";
import { ConfigSource, maxConfigBytes } from "./source.ts";

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

/** Problems beyond this many are counted, not listed. */
const maxErrors = 50;

/** Loads a file. Never throws: a file that cannot be read is an error like one that is wrong. */
export async function loadConfig(options: LoadOptions): Promise<ConfigResult> {
  const { file, workingDirectory, environment } = options;
  if (file === undefined) {
    return compile(configSchema.parse({}), resolve(workingDirectory));
  }
  const path = resolve(workingDirectory, file);
  let text: string;
  try {
    text = await readBounded(path);
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
  let source: ConfigSource;
  try {
    source = new ConfigSource(text, {
      file,
      environment,
      convert: (path, value) => convertText(schemaAt(configSchema, path), value),
    });
  } catch (error) {
    return { errors: [`${file}: not valid YAML: ${error instanceof Error ? error.message : String(error)}`] };
  }
  if (source.fatal) return failed(source.describeAll(source.problems));
  const result = configSchema.safeParse(source.value);
  const problems = [...source.problems];
  if (!result.success) {
    // What the environment did not fill in is wrong for that reason alone.
    const unfilled = new Set(problems.map(({ path }) => path.join()));
    const issues = describeIssues(configSchema, result.error, source);
    problems.push(...issues.filter(({ path }) => !unfilled.has(path.join())));
  }
  if (result.success) problems.push(...findContradictions(result.data));
  if (!result.success || problems.length > 0) return failed(source.describeAll(problems));
  return compile(result.data, directory);
}

function compile(config: DefaultedConfig, directory: string): ConfigResult {
  return { config: compileConfig(config, { directory, repository: findRepository(directory) }) };
}

function failed(errors: readonly string[]): ConfigResult {
  if (errors.length <= maxErrors) return { errors };
  return { errors: [...errors.slice(0, maxErrors), `and ${errors.length - maxErrors} more problems`] };
}

async function readBounded(path: string): Promise<string> {
  await using handle = await open(path);
  const about = await handle.stat();
  if (about.isDirectory()) throw new Error(`${basename(path)} is a folder; expected a file`);
  if (about.size > maxConfigBytes) {
    throw new Error(`expected at most ${maxConfigBytes} bytes, got ${about.size}`);
  }
  return await handle.readFile("utf8");
}

function whyUnreadable(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "ENOENT" || code === "ENOTDIR") return "there is no such file";
  if (code === "EACCES" || code === "EPERM") return "no permission to read it";
  return error instanceof Error ? error.message : String(error);
}
