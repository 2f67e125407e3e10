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

/** Whether one of the model folders holds a model as a GGUF file. */
export async function hasGguf(folders: readonly string[]): Promise<boolean> {
  return (await listGguf(folders, 1)).length > 0;
}

/**
 * Absolute paths of at most `most` GGUF files that are models: in a model folder itself, in a model's folder or in one of
 * its versions'. What cannot be read holds none.
 */
export async function listGguf(folders: readonly string[], most: number): Promise<string[]> {
  const left = folders.map((path) => ({ path, depth: 0 }));
  const found: string[] = [];
  for (let seen = 0; left.length > 0 && seen < maxFolders; seen++) {
    const { path, depth } = left.shift() ?? { path: "", depth: 0 };
    const entries = await readdir(path, { withFileTypes: true }).catch(() => []);
    for (const entry of entries) {
      if (entry.name.startsWith(".")) continue;
      const isFolder = entry.isDirectory();
      if (!isFolder && isModel(entry.name)) found.push(join(path, entry.name));
      if (found.length === most) return found;
      if (isFolder && depth < 2) left.push({ path: join(path, entry.name), depth: depth + 1 });
    }
  }
  return found;
}

/** Later parts of a file in parts, and projectors that go with a model, are none by themselves. */
function isModel(name: string): boolean {
  const isLaterPart = /-(?!00001)\d{5}-of-\d{5}\.gguf$/i.test(name);
  return /\.gguf$/i.test(name) && !isLaterPart && !/^mmproj[-.]|[-.]mmproj\.gguf$/i.test(name);
}
