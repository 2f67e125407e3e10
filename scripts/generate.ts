// `npm run generate`: writes what is made from the sources. `--check` writes nothing and ends with 1 when a file is
// not what the sources give.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { generatedFiles, isSame } from "./lib/generated-files.ts";
import { root } from "./lib/paths.ts";

const check = process.argv.includes("--check");
const different: string[] = [];
for (const [file, text] of generatedFiles()) {
  const target = path.join(root, file);
  if (existsSync(target) && isSame(readFileSync(target, "utf8"), text)) continue;
  different.push(file);
  if (check) continue;
  mkdirSync(path.dirname(target), { recursive: true });
  writeFileSync(target, text);
}
if (check && different.length > 0) {
  process.stderr.write(`not what the sources give: ${different.join(", ")}. Run npm run generate.\n`);
  process.exitCode = 1;
}
if (!check) for (const file of different) process.stdout.write(`${file}\n`);

const protocol = path.join(import.meta.dirname, "generate-protocol.ts");
try {
  execFileSync(process.execPath, [...process.execArgv, protocol, ...process.argv.slice(2)], {
    stdio: "inherit",
  });
} catch {
  process.exitCode = 1;
}
