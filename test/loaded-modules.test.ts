// What every gateway loads. A module stays in memory for as long as the process runs: parts that only some
// configurations need are imported when they are asked for.
import assert from "node:assert/strict";
import path from "node:path";
import { test } from "node:test";
import { importsOf } from "../scripts/lib/imports.ts";
import { readSource } from "../scripts/lib/source.ts";

const source = "packages/gateway/src";
const entries = [
  `${source}/cli/main.ts`,
  `${source}/cli/run-cli.ts`,
  `${source}/cli/program.ts`,
  `${source}/cli/commands/serve.ts`,
];

/** Folders and modules that no gateway without them in its configuration loads. */
const onDemand = [
  "app/apply-config.ts",
  "app/plan-reload.ts",
  "app/prepare-pools.ts",
  "app/picker-watch.ts",
  "config/endpoint-picker/load-endpoint-picker.ts",
  "doors/extproc/extproc-door.ts",
  "plugins/fairness/",
  "plugins/ordering/",
  "plugins/rules/index.ts",
  "plugins/saturation/",
];

test("`spillway serve` loads no plugin, rule or door before a configuration asks for it", () => {
  const importers = loadedBy(entries);
  assert.ok(importers.has(`${source}/app/gateway.ts`));
  const early = [...importers.keys()].filter((file) =>
    onDemand.some((name) => file.startsWith(`${source}/${name}`)),
  );
  assert.deepEqual(
    early.map((file) => wayTo(file, importers)),
    [],
  );
});

/** The modules that importing `files` evaluates, each with the one that imports it first. */
function loadedBy(files: readonly string[]): ReadonlyMap<string, string | undefined> {
  const importers = new Map<string, string | undefined>(files.map((file) => [file, undefined]));
  for (const file of importers.keys()) {
    for (const { specifier, kind } of importsOf(readSource(file))) {
      if (kind !== "value" || !/^\..*\.ts$/.test(specifier)) continue;
      const target = path.posix.join(path.posix.dirname(file), specifier);
      if (!importers.has(target)) importers.set(target, file);
    }
  }
  return importers;
}

function wayTo(file: string, importers: ReadonlyMap<string, string | undefined>): string {
  const importer = importers.get(file);
  return importer === undefined ? file : `${wayTo(importer, importers)} > ${file}`;
}
