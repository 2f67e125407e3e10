/** Where things are in this checkout. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** The repository. */
export const repositoryRoot = fileURLToPath(new URL("../../", import.meta.url));

/** Files that can be made again: models, data directories of servers under test. Not committed. */
export const cacheDirectory = join(repositoryRoot, "bench", ".cache");

/** Where figures leave what they measured. */
export const resultsDirectory = join(repositoryRoot, "bench", "results");

const INSTALLED_NODE = join(repositoryRoot, "node_modules", "node", "bin", "node");

/** The Node that the lockfile installs, else the one running this. */
export const nodeBinary = existsSync(INSTALLED_NODE) ? INSTALLED_NODE : process.execPath;
