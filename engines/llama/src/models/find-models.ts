/** Finds GGUF files in model folders. Changes nothing. */
import { readdir, stat } from "node:fs/promises";
import { basename, join } from "node:path";

/** Most models of all folders together; what comes later is not served. */
export const maxModels = 1_000;

/** A model on disk. */
export interface FoundModel {
  readonly name: string;
  /** Absolute path; the first part of a file in parts. */
  readonly file: string;
  /** Size of all its parts. */
  readonly bytes: number;
  /** When the file last changed, ms since 1970. */
  readonly modifiedMs: number;
}

/** `name-00001-of-00003.gguf`: a file in parts. */
const partPattern = /-(\d{5})-of-(\d{5})\.gguf$/i;

/** Files that go with a model and are none: image projectors. */
const companionPattern = /^mmproj[-.]|[-.]mmproj\.gguf$/i;

const versionPattern = /^(0|[1-9]\d{0,14})$/;

/**
 * The models of folders, in the order of their names; of two with one name the first folder's. A model is
 * `<name>.gguf` or the GGUF file of `<name>/<highest version>/` or `<name>/`. A folder that cannot be read
 * has none.
 */
export async function findModels(folders: readonly string[]): Promise<FoundModel[]> {
  const found = new Map<string, FoundModel>();
  for (const folder of folders) {
    for (const entry of await entriesOf(folder)) {
      if (found.size >= maxModels) break;
      const model = entry.isFile
        ? await modelFile(folder, entry.name)
        : await modelFolder(folder, entry.name);
      if (model !== undefined && !found.has(model.name)) found.set(model.name, model);
    }
  }
  return [...found.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

interface Entry {
  readonly name: string;
  readonly isFile: boolean;
}

/** Files and folders by name, links followed, hidden ones left out. */
async function entriesOf(folder: string): Promise<Entry[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  return entries
    .filter(({ name }) => !name.startsWith("."))
    .filter((entry) => !entry.isFile() || isModelFile(entry.name))
    .map((entry) => {
      const isFile = entry.isFile() || (entry.isSymbolicLink() && isModelFile(entry.name));
      return { name: entry.name, isFile };
    })
    .toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

function isModelFile(name: string): boolean {
  if (!/\.gguf$/i.test(name) || companionPattern.test(name)) return false;
  const part = partPattern.exec(name);
  return part === null || Number(part[1]) === 1;
}

async function modelFile(folder: string, fileName: string): Promise<FoundModel | undefined> {
  return describe(fileName.replace(partPattern, "").replace(/\.gguf$/i, ""), folder, fileName);
}

async function modelFolder(parent: string, name: string): Promise<FoundModel | undefined> {
  const folder = join(parent, name);
  const entries = await entriesOf(folder);
  const versions = entries.filter((entry) => !entry.isFile && versionPattern.test(entry.name));
  for (const { name: version } of versions.toSorted((a, b) => Number(b.name) - Number(a.name))) {
    const inside = join(folder, version);
    const first = (await entriesOf(inside)).find(({ isFile }) => isFile);
    if (first !== undefined) return describe(name, inside, first.name);
  }
  const first = entries.find(({ isFile }) => isFile);
  return first === undefined ? undefined : describe(name, folder, first.name);
}

async function describe(name: string, folder: string, fileName: string): Promise<FoundModel | undefined> {
  const file = join(folder, fileName);
  try {
    const about = await stat(file);
    if (!about.isFile()) return undefined;
    const others = await otherParts(folder, fileName);
    return { name, file, bytes: about.size + others, modifiedMs: Math.round(about.mtimeMs) };
  } catch {
    return undefined;
  }
}

/** Bytes of the parts behind the first; 0 for a whole file. */
async function otherParts(folder: string, fileName: string): Promise<number> {
  const count = Number(partPattern.exec(fileName)?.[2] ?? 1);
  let bytes = 0;
  for (let part = 2; part <= count; part++) {
    const name = basename(fileName).replace(/-\d{5}-of-/, `-${String(part).padStart(5, "0")}-of-`);
    bytes += (await stat(join(folder, name))).size;
  }
  return bytes;
}

/** The model a caller means: Ollama's `name:latest` is `name`. */
export function withoutLatest(name: string): string {
  return name.endsWith(":latest") ? name.slice(0, -":latest".length) : name;
}
