// `npm run build [-- FOLDER]`: builds and packs every package into FOLDER (default: dist).
import path from "node:path";
import { buildPackages, packPackages } from "./lib/build.ts";
import { root } from "./lib/paths.ts";

const out = path.resolve(process.argv[2] ?? path.join(root, "dist"));
try {
  for (const tarball of await packPackages(out, await buildPackages(out)))
    process.stdout.write(`${tarball}\n`);
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
