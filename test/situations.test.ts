// docs/testing.md names a test file for every situation: the files are there, and none of this kind is left out.
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const folder = fileURLToPath(new URL("../docs/", import.meta.url));
const page = readFileSync(path.join(folder, "testing.md"), "utf8");
const rows = page.split("\n").filter((line) => /^\| (?!-|situation|while|what comes)/.test(line));
const linked = [...page.matchAll(/\]\(([^)]+)\)/g)].map(([, target = ""]) => path.resolve(folder, target));

test("every situation has a test, and every file that is named is there", () => {
  assert.ok(rows.length > 25, `${rows.length} rows`);
  for (const row of rows) assert.match(row, /\.test\.ts\)/, row);
  assert.deepEqual(
    linked.filter((file) => !existsSync(file)),
    [],
  );
});

test("every test of forwarding through a whole gateway is in the table", () => {
  const integration = path.resolve(folder, "../test/integration");
  const files = readdirSync(integration).filter((name) => name.startsWith("forward-"));
  assert.ok(files.length > 0);
  assert.deepEqual(
    files.filter((name) => !linked.includes(path.join(integration, name))),
    [],
  );
});
