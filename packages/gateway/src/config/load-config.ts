/** Reads `spillway.yaml`: a file to compiled configuration, or every mistake in it at once. */
import { dirname, resolve } from "node:path";
import { compileInFolder, type ConfigResult } from "./compile-in-folder.ts";
import { withoutPlugins } from "./compiled.ts";
import { whyUnreadable } from "../core/why-unreadable.ts";
import { readText } from "./read-document.ts";
import { configSchema } from "./schema.ts";

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
    const config = configSchema.parse({ edge: {} });
    return { config: compileInFolder(config, resolve(workingDirectory), withoutPlugins) };
  }
  const path = resolve(workingDirectory, file);
  let text: string;
  try {
    text = await readText(path);
  } catch (error) {
    return { errors: [`${file}: ${whyUnreadable(error)}`] };
  }
  // What plugins there are is loaded for a file alone: without one nothing can name them.
  const { readConfig } = await import("./read-config.ts");
  return readConfig(text, { file, directory: dirname(path), environment });
}
