/** deploy/prometheus: Prometheus takes the configuration, and the alerts fire when they should and only then. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import path from "node:path";
import { test, type TestContext } from "node:test";
import { promisify } from "node:util";
import { repositoryRoot } from "../harness/gateway.ts";
import { requireProgram } from "../harness/requires.ts";

const folder = path.join(repositoryRoot, "deploy/prometheus");
const run = promisify(execFile);

/** What promtool says, or undefined where it is missing. Rejects when it finds something wrong. */
async function promtool(t: TestContext, ...args: string[]): Promise<string | undefined> {
  const program = requireProgram(t, "promtool", "apt install prometheus");
  if (program === undefined) return undefined;
  const { stdout, stderr } = await run(program, args, { cwd: folder });
  return stdout + stderr;
}

test("the configuration is valid, with a scrape every 15 s and all alerts", async (t) => {
  const said = await promtool(t, "check", "config", "prometheus.yml");
  if (said !== undefined) assert.match(said, /5 rules found/);
  assert.match(readFileSync(path.join(folder, "prometheus.yml"), "utf8"), /^ {2}scrape_interval: 15s$/m);
});

test("the alerts do what their tests say", async (t) => {
  const said = await promtool(t, "test", "rules", "alerts.test.yml");
  if (said !== undefined) assert.match(said, /SUCCESS/);
});

test("every alert has tests in which it fires and in which it does not", () => {
  const rules = readFileSync(path.join(folder, "alerts.yml"), "utf8");
  const tests = readFileSync(path.join(folder, "alerts.test.yml"), "utf8");
  const alerts = [...rules.matchAll(/- alert: (\w+)/g)].map(([, name = ""]) => name);
  assert.equal(alerts.length, 5);
  for (const alert of alerts) {
    const cases = [
      ...tests.matchAll(new RegExp(`alertname: ${alert}\\n +eval_time: .*\\n +exp_alerts:(.*)`, "g")),
    ];
    const quiet = cases.filter(([, rest]) => rest?.includes("[]")).length;
    assert.ok(quiet > 0 && quiet < cases.length, `${alert}: ${quiet} of ${cases.length} are quiet`);
  }
});
