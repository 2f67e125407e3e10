// `npm run lockfile`, after every change of dependencies: makes package-lock.json whole for every platform.
import { readFileSync, writeFileSync } from "node:fs";
import { completePackages, missingOptional } from "./lib/lockfile.ts";
import type { LockPackages } from "./lib/lockfile.ts";

const file = new URL("../package-lock.json", import.meta.url);
const lock = JSON.parse(readFileSync(file, "utf8")) as { packages: LockPackages };
const missing = missingOptional(lock.packages);
if (missing.length > 0) {
  lock.packages = completePackages(lock.packages);
  writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`);
}
process.stdout.write(`package-lock.json: ${missing.length} platform packages added\n`);
