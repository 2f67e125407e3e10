import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { describeProcess, processTree, readProcess, readPssBytes } from "./proc.ts";
import { cpuMsOf, ProcessWatch } from "./processes.ts";

const MEGABYTE = 2 ** 20;

/** Uses 200 ms of CPU time, however long that takes. */
const BURN =
  "for (const start = process.cpuUsage(), used = () => process.cpuUsage(start).user; used() < 200_000; );";

/** Starts a Node program that runs `code` and then tells that it did. */
async function startNode(context: TestContext, code: string): Promise<number> {
  const child = spawn(process.execPath, ["-e", `${code};console.log("ready");setInterval(() => {}, 1000)`], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  context.after(() => child.kill("SIGKILL"));
  await once(child.stdout, "data");
  return child.pid ?? -1;
}

test("CPU time of a process is what it used, and grows", () => {
  const before = readProcess(process.pid);
  const own = process.cpuUsage();
  for (const endMs = performance.now() + 150; performance.now() < endMs;);
  const after = readProcess(process.pid);
  const used = process.cpuUsage(own);
  assert.ok(before !== null && after !== null);
  const difference = after.cpuMs - before.cpuMs - (used.user + used.system) / 1000;
  assert.ok(Math.abs(difference) <= 40, `off by ${difference} ms`);
});

test("resident and proportional memory see a large buffer", async (context) => {
  const pid = await startNode(context, "global.kept = Buffer.alloc(64 * 2 ** 20, 1)");
  assert.ok((readProcess(pid)?.rssBytes ?? 0) > 64 * MEGABYTE);
  assert.ok((readPssBytes(pid) ?? Number.POSITIVE_INFINITY) > 64 * MEGABYTE);
  assert.match(describeProcess(pid), /^node/);
});

test("a tree holds children of children, and a gone process reads as nothing", async (context) => {
  const grandchild = "require('node:child_process').spawn('sleep', ['60'])";
  const pid = await startNode(context, grandchild);
  const tree = processTree(pid);
  context.after(() => tree.slice(1).forEach((entry) => process.kill(entry.pid, "SIGKILL")));
  assert.deepEqual(
    tree.map((entry) => entry.parent),
    [process.pid, pid],
  );
  assert.equal(describeProcess(tree[1]?.pid ?? -1), "sleep");
  assert.equal(readProcess(2 ** 30), null);
  assert.deepEqual(processTree(2 ** 30), []);
});

test("a watch reports CPU time and memory within its window only", async (context) => {
  const pid = await startNode(context, BURN);
  const watch = new ProcessWatch({ roots: { server: pid }, intervalMs: 20 });
  await new Promise((resolve) => setTimeout(resolve, 100));
  const reports = watch.close();
  assert.equal(reports.length, 1);
  assert.ok(cpuMsOf(reports) <= 60, `${cpuMsOf(reports)} ms: the 200 ms before the watch do not count`);
  assert.ok((reports[0]?.rss.maxBytes ?? 0) > 20 * MEGABYTE);
  assert.equal(cpuMsOf(reports, "another"), 0);
  assert.deepEqual(watch.close(), reports);
});

test("a process that starts during a watch counts from its start", async (context) => {
  const watch = new ProcessWatch({ roots: { server: process.pid }, intervalMs: 20 });
  const pid = await startNode(context, BURN);
  const child = watch.close().find((report) => report.pid === pid);
  assert.ok((child?.cpuMs ?? 0) >= 180, `${child?.cpuMs} ms`);
});
