import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { nodeBinary } from "./lib/install.mjs";
import { root } from "./lib/paths.ts";

const runner = path.join(root, "scripts/run.mjs");

test("run.mjs runs TypeScript under Node 24 with workspace packages from their sources", (t) => {
  const folder = realpathSync(mkdtempSync(path.join(tmpdir(), "spillway run ")));
  t.after(() => rmSync(folder, { recursive: true }));
  const program = path.join(folder, "program.ts");
  const text = `const says: string[] = [process.execPath, ...process.execArgv, process.cwd(), ...process.argv.slice(2)];
    console.log(JSON.stringify(says));
    process.exitCode = 5;`;
  writeFileSync(program, text);
  const ended = spawnSync(process.execPath, [runner, "program.ts", "an argument"], {
    cwd: folder,
    encoding: "utf8",
  });
  const expected = [nodeBinary(root), "--conditions=source", folder, "an argument"];
  assert.deepEqual(JSON.parse(ended.stdout), expected, ended.stderr);
  assert.equal(ended.status, 5);
});

test("run.mjs without a program tells its usage", () => {
  const ended = spawnSync(process.execPath, [runner], { encoding: "utf8" });
  assert.equal(ended.status, 2);
  assert.match(ended.stderr, /^usage: /);
});
