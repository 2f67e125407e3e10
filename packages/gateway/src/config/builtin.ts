/** The models that come with Spillway, and when they are served. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** `models/` of the package; a checkout keeps them at its root instead. */
const candidates = ["../../models", "../../../../models"];

/** The folder of the models that come with Spillway. */
export function builtinModels(): string {
  const folders = candidates.map((path) => fileURLToPath(new URL(path, import.meta.url)));
  return folders.find((folder) => existsSync(folder)) ?? folders[0] ?? "";
}

/** The repository where none is named: `models` in the folder if it holds models, else those that come with Spillway. */
export function findRepository(directory: string): string {
  const own = join(directory, "models");
  return holdsModels(own) ? own : builtinModels();
}

/**
 * True for a folder with at least one `<name>/model.yaml` or `<name>/<number>/`: any other `models` is not ours. A version
 * of GGUF files does not count: they are served from there all the same.
 */
function holdsModels(folder: string): boolean {
  return list(folder).some((name) =>
    list(join(folder, name)).some(
      (inner) => inner === "model.yaml" || (/^\d+$/.test(inner) && !holdsOnlyGguf(join(folder, name, inner))),
    ),
  );
}

function holdsOnlyGguf(version: string): boolean {
  const files = list(version);
  return files.length > 0 && files.every((file) => /\.gguf$/i.test(file));
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
