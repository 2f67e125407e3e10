import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { root } from "../../scripts/lib/paths.ts";

const handOver = pathToFileURL(path.join(root, "packages/gateway/bin/hand-over.mjs")).href;
const ways = { "replacing itself": "", "waiting for a child": "process.execve = undefined;" };

/** Starts a process that hands over to `program`, given as source text. */
function start(preparation: string, program: string, args: readonly string[] = []): ChildProcess {
  const handed = JSON.stringify(["--input-type=module", "--eval", program, "--", ...args]);
  const source = `import { handOver } from "${handOver}"; ${preparation} handOver(process.execPath, ${handed});`;
  return spawn(process.execPath, ["--input-type=module", "--eval", source], {
    stdio: ["pipe", "pipe", "inherit"],
  });
}

async function ended(
  child: ChildProcess,
): Promise<{ code: number | null; signal: string | null; output: string }> {
  let output = "";
  child.stdout?.on("data", (chunk: Buffer) => (output += String(chunk)));
  const [code, signal] = (await once(child, "close")) as [number | null, string | null];
  return { code, signal, output };
}

for (const [way, preparation] of Object.entries(ways)) {
  test(`${way}: arguments, input, output and exit code pass through`, async () => {
    const program = `process.stdin.on("data", (d) => { console.log(String(d), ...process.argv.slice(1)); process.exit(7); });`;
    const child = start(preparation, program, ["two words", "--flag"]);
    child.stdin?.end("hello");
    assert.deepEqual(await ended(child), { code: 7, signal: null, output: "hello two words --flag\n" });
  });

  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) {
    test(`${way}: ${signal} reaches the program, whose exit code counts`, async () => {
      const program = `process.on("${signal}", () => setTimeout(() => process.exit(0), 50)); setInterval(() => {}, 1e6); console.log("up");`;
      const child = start(preparation, program);
      await once(child.stdout!, "data");
      child.kill(signal);
      assert.deepEqual(await ended(child), { code: 0, signal: null, output: "" });
    });
  }

  test(`${way}: a program ended by a signal ends this one by the same`, async () => {
    const program = `process.kill(process.pid, "SIGKILL"); setInterval(() => {}, 1e6);`;
    assert.equal((await ended(start(preparation, program))).signal, "SIGKILL");
  });

  test(`${way}: a missing binary is an error, not an aborted process`, async () => {
    const source = `import { handOver } from "${handOver}"; ${preparation} try { handOver("/no/such/node", []); } catch (e) { console.log(e.code); }`;
    const child = spawn(process.execPath, ["--input-type=module", "--eval", source], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    assert.deepEqual(await ended(child), { code: 0, signal: null, output: "ENOENT\n" });
  });
}

test("spillway finds its compiled program, and needs no package `node` under Node 24 or later", async (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), "spillway bin "));
  t.after(() => rmSync(folder, { recursive: true }));
  cpSync(path.join(root, "packages/gateway/bin"), path.join(folder, "bin"), { recursive: true });
  mkdirSync(path.join(folder, "dist/cli"), { recursive: true });
  writeFileSync(path.join(folder, "package.json"), `{ "type": "module" }`);
  writeFileSync(
    path.join(folder, "dist/cli/main.js"),
    "console.log(...process.argv.slice(2), process.execArgv.length);",
  );
  const entry = path.join(folder, "bin/spillway.mjs");
  const child = spawn(process.execPath, [entry, "serve", "--port"], { stdio: ["ignore", "pipe", "inherit"] });
  assert.deepEqual(await ended(child), { code: 0, signal: null, output: "serve --port 0\n" });
});
