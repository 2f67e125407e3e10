/** What a folder holds, in one short text that changes when a file in it does. */
import { createHash } from "node:crypto";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";

/** A file below a folder. */
export interface FoundFile {
  /** Relative to the folder, with `/`. */
  readonly path: string;
  readonly bytes: number;
  readonly modifiedMs: number;
}

/** Files of one version folder beyond this many are an error. */
const maxFilesPerVersion = 1_000;

const maxDepth = 4;

/**
 * All files below a folder in the order of their names, without hidden ones. A folder that is not
 * there is empty; a file that vanishes meanwhile is left out. Throws beyond `maxFilesPerVersion`.
 */
export async function listFiles(folder: string): Promise<FoundFile[]> {
  const found: FoundFile[] = [];
  await collect(folder, "", found);
  return found.toSorted((a, b) => (a.path < b.path ? -1 : 1));
}

async function collect(folder: string, prefix: string, found: FoundFile[]): Promise<void> {
  if (prefix.split("/").length > maxDepth) return;
  const names = await readdir(join(folder, prefix)).catch(() => []);
  for (const name of names) {
    if (name.startsWith(".")) continue;
    const path = `${prefix}${name}`;
    const about = await stat(join(folder, path)).catch(() => undefined);
    if (about?.isDirectory() === true) await collect(folder, `${path}/`, found);
    else if (about?.isFile() === true) {
      if (found.length >= maxFilesPerVersion)
        throw new Error(`more than ${maxFilesPerVersion} files in ${folder}`);
      found.push({ path, bytes: about.size, modifiedMs: about.mtimeMs });
    }
  }
}

/** One file of a folder as a list of one, or an empty list when it is not there. */
export async function describeFile(folder: string, name: string): Promise<FoundFile[]> {
  const about = await stat(join(folder, name)).catch(() => undefined);
  return about?.isFile() === true ? [{ path: name, bytes: about.size, modifiedMs: about.mtimeMs }] : [];
}

/** Sixteen hex digits over names, sizes and times of change. Equal for equal input in equal order. */
export function fingerprintOf(files: readonly FoundFile[]): string {
  const hash = createHash("sha1");
  for (const file of files) hash.update(`${file.path}\0${file.bytes}\0${file.modifiedMs}\n`);
  return hash.digest("hex").slice(0, 16);
}
