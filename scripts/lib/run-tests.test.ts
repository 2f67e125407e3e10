import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test, type TestContext } from "node:test";
import { spawnSync } from "node:child_process";
import { root } from "./paths.ts";

const program = `import { runTests } from ${JSON.stringify(path.join(root, "scripts/lib/run-tests.ts"))};
const [namePattern, ...files] = process.argv.slice(2);
const run = { files, cwd: process.cwd(), concurrency: 1, env: process.env };
console.log(await runTests({ ...run, ...(namePattern !== "" && { namePattern }) }) ? "all passed" : "some failed");`;

/** Runs files of these contents, named a.test.ts and so on, in the order given; gives what was printed. */
function runFiles(t: TestContext, contents: Readonly<Record<string, string>>, namePattern = ""): string {
  const folder = mkdtempSync(path.join(tmpdir(), "spillway tests "));
  t.after(() => rmSync(folder, { recursive: true }));
  const names = Object.keys(contents).map((name) => `${name}.test.ts`);
  for (const [name, text] of Object.entries(contents))
    writeFileSync(path.join(folder, `${name}.test.ts`), `import { test } from "node:test"; ${text}`);
  writeFileSync(path.join(folder, "program.ts"), program);
  // Within a test, node:test runs no files.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const ran = spawnSync(process.execPath, ["--conditions=source", "program.ts", namePattern, ...names], {
    cwd: folder,
    env,
    encoding: "utf8",
  });
  assert.equal(ran.status, 0, ran.stderr);
  return ran.stdout;
}

test("files are run in the order they are given, with the totals last", (t) => {
  const said = runFiles(t, { b: 'test("of b", () => {});', a: 'test("of a", () => {});' });
  assert.match(said, /✔ of b[^]*✔ of a[^]*tests 2\n[^]*pass 2\n[^]*\nall passed\n$/);
});

test("a test that fails, a file that throws and a file that does not load fail the run, and are named at the end", (t) => {
  const said = runFiles(t, {
    a: 'test("of a", () => {});',
    b: 'test("of b", () => { throw new Error("it broke"); });',
    c: 'throw new Error("no test ran");',
    d: 'import "./missing.ts";',
  });
  assert.match(said, /failing tests:[^]*it broke[^]*c\.test\.ts[^]*d\.test\.ts[^]*\nsome failed\n$/);
});

test("a name pattern chooses tests", (t) => {
  const said = runFiles(t, { a: 'test("one", () => {}); test("two", () => { throw new Error(); });' }, "on");
  assert.match(said, /✔ one[^]*all passed\n$/);
});
