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

/** True for a folder with at least one `<name>/model.yaml` or `<name>/<number>/`: any other `models` is not ours. */
function holdsModels(folder: string): boolean {
  return list(folder).some((name) =>
    list(join(folder, name)).some((inner) => inner === "model.yaml" || /^\d+$/.test(inner)),
  );
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
