/** Where the llama engine's own files lie, and where the library it needs is installed. */
import { readdir } from "node:fs/promises";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** A checkout runs the engine's sources, a published package what is compiled from them. */
const inCheckout = import.meta.url.endsWith(".ts");

/** The engine's folder, with its package.json. */
export const engineFolder: string = fileURLToPath(
  new URL(inCheckout ? "../../../../../engines/llama" : "../../../engines/llama", import.meta.url),
);

/** The engine's program. */
export const engineProgram: string = join(engineFolder, inCheckout ? "src/main.ts" : "dist/main.js");

/** Written last when the library is installed: what is there without it is half done. */
export const installedMark = "node_modules/.spillway-engine.json";

/** Exact version of node-llama-cpp that the engine is made for. */
export function engineVersion(): string {
  const text = readFileSync(join(engineFolder, "package.json"), "utf8");
  const { dependencies } = JSON.parse(text) as { readonly dependencies: Readonly<Record<string, string>> };
  return dependencies["node-llama-cpp"] ?? "";
}

/**
 * The folder in whose `node_modules` the library belongs: of a checkout `engines/llama`, else `engines/llama` in the data
 * folder, which is `SPILLWAY_DATA` or `.spillway` in the working folder.
 */
export function libraryFolder(
  workingDirectory: string,
  environment: Readonly<Record<string, string | undefined>>,
): string {
  const data = environment["SPILLWAY_DATA"];
  if (data === undefined && inCheckout) return engineFolder;
  return join(data ?? join(workingDirectory, ".spillway"), "engines", "llama");
}

/** The version that is installed in a folder of `libraryFolder`; undefined where none is, or half of one. */
export function installedVersion(folder: string): string | undefined {
  try {
    const text = readFileSync(join(folder, installedMark), "utf8");
    return (JSON.parse(text) as { readonly version?: string }).version;
  } catch {
    return undefined;
  }
}

/** Folders within model folders that are looked at. */
const maxFolders = 2_000;

/** Whether one of the model folders holds a GGUF file: itself, in a model's folder or in one of its versions'. */
export async function hasGguf(folders: readonly string[]): Promise<boolean> {
  const left = folders.map((path) => ({ path, depth: 0 }));
  for (let seen = 0; left.length > 0 && seen < maxFolders; seen++) {
    const { path, depth } = left.shift() ?? { path: "", depth: 0 };
    const entries = await readdir(path, { withFileTypes: true }).catch(() => []);
    for (const entry of entries) {
      if (entry.name.startsWith(".")) continue;
      if (!entry.isDirectory() && /\.gguf$/i.test(entry.name)) return true;
      if (entry.isDirectory() && depth < 2) left.push({ path: join(path, entry.name), depth: depth + 1 });
    }
  }
  return false;
}
