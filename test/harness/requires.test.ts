import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { findProgram } from "./requires.ts";

test("finds the first executable file of that name", (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), "requires-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const [first, second, third] = ["a", "b", "c"].map((name) => path.join(folder, name));
  for (const place of [first, second, third]) mkdirSync(place!);
  mkdirSync(path.join(first!, "tool"));
  writeFileSync(path.join(second!, "tool"), "not executable");
  writeFileSync(path.join(third!, "tool"), "");
  chmodSync(path.join(third!, "tool"), 0o755);
  const search = ["", first, second, third].join(path.delimiter);
  assert.equal(findProgram("tool", search), path.join(third!, "tool"));
  assert.equal(findProgram("other", search), undefined);
});

const program = `
  import { test } from "node:test";
  import { requireProgram } from ${JSON.stringify(path.join(import.meta.dirname, "requires.ts"))};
  test("asks", (t) => { requireProgram(t, "no-such-program", "apt install it"); });
`;

/** Totals of a run of the program above. */
function totalsWith(strict: string): { code: number | null; output: string } {
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const args = ["--test-reporter=spec", "--input-type=module-typescript", "--eval", program];
  const run = spawnSync(process.execPath, args, {
    encoding: "utf8",
    env: { ...env, SPILLWAY_TEST_STRICT: strict },
  });
  return { code: run.status, output: run.stdout };
}

test("skips with the advice where a program is missing", () => {
  const { code, output } = totalsWith("0");
  assert.equal(code, 0, output);
  assert.match(output, /skipped 1/);
  assert.match(output, /needs no-such-program: apt install it/);
});

test("fails in strict mode", () => {
  const { code, output } = totalsWith("1");
  assert.equal(code, 1, output);
  assert.match(output, /fail 1/);
});
