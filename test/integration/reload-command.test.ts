// `spillway serve` told to read its configuration again: a real process, its file, its signals and what it logs.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { startSpillway, type Running } from "../harness/spillway.ts";
import { until } from "../harness/until.ts";

const usual = "listen: [{ port: 0 }]\ngrpc: false\nmodels: false\ndiscovery: false\nedge: false\n";

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "spillway-reload-"));
  t.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

function serve(t: TestContext, cwd: string, ...args: string[]): Running {
  const running = startSpillway(["serve", "--log-format", "json", ...args], { cwd });
  t.after(async () => {
    running.kill("SIGKILL");
    await running.ended;
  });
  return running;
}

async function urlOf(running: Running): Promise<string> {
  const [, port] = await running.printed(/"door":"http","host":"127.0.0.1","port":(\d+)/, "stderr");
  return `http://127.0.0.1:${port}`;
}

test("SIGHUP: what is good counts, what is wrong is told as `spillway check` does, and the log's level follows", async (t) => {
  const cwd = folderOf(t);
  const file = join(cwd, "spillway.yaml");
  writeFileSync(file, usual);
  const running = serve(t, cwd);
  const url = await urlOf(running);
  const status = async () => (await fetch(`${url}/v1/models`)).status;
  assert.equal(await status(), 200);
  writeFileSync(file, `${usual}auth: { keys: [] }\nlog: { level: warn }\n`);
  running.kill("SIGHUP");
  await until("keys are needed", async () => (await status()) === 401);
  writeFileSync(file, `${usual}log: { level: loud }\n`);
  running.kill("SIGHUP");
  const [line] = await running.printed(/^.*config_refused.*$/m, "stderr");
  assert.match(String((JSON.parse(line) as { error: string }).error), /^spillway\.yaml:6:\d+: log\.level: /);
  assert.equal(await status(), 401);
  writeFileSync(file, `${usual}log: { level: info }\n`);
  running.kill("SIGHUP");
  await running.printed(/"config_changed".*"changed":"auth, log\.level"/, "stderr");
  assert.equal(await status(), 200);
  running.kill("SIGTERM");
  assert.equal((await running.ended).code, 0);
});

test("without a signal: the file is followed; emptied or gone it changes nothing", async (t) => {
  const cwd = folderOf(t);
  const file = join(cwd, "my.yaml");
  writeFileSync(file, `${usual}auth: { keys: [] }\n`);
  const running = serve(t, cwd, "--config", "my.yaml");
  const url = await urlOf(running);
  const status = async () => (await fetch(`${url}/v1/models`)).status;
  assert.equal(await status(), 401);
  writeFileSync(file, "");
  await running.printed(/my\.yaml: the file is empty/, "stderr");
  rmSync(file);
  await running.printed(/my\.yaml: there is no such file/, "stderr");
  assert.equal(await status(), 401);
  writeFileSync(file, usual);
  await until("no key is needed", async () => (await status()) === 200);
});
