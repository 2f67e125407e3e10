// Where things are in the repository, and the lists of files that tests and tools read.
import { globSync } from "node:fs";
import path from "node:path";

/** The repository's folder. */
export const root = path.resolve(import.meta.dirname, "../..");

/**
 * The files under `folder` (default: the repository) that match, sorted, relative to it, with forward slashes;
 * never those of node_modules and dist.
 */
export function listFiles(patterns: readonly string[], folder: string = root): string[] {
  const skipped = (name: string): boolean => name === "node_modules" || name === "dist";
  const found = globSync([...patterns], { cwd: folder, exclude: (entry) => skipped(path.basename(entry)) });
  return found.map((file) => file.split(path.sep).join("/")).sort();
}
