import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { checkDisk, checkMemory, checkModels, checkNative, checkSockets } from "./doctor-checks.ts";

const folder = mkdtempSync(join(tmpdir(), "spillway-doctor-"));
after(() => rmSync(folder, { recursive: true }));

test("memory", () => {
  assert.equal(checkMemory(8 * 2 ** 30).status, "ok");
  assert.equal(checkMemory(600 * 2 ** 20).status, "warn");
  const least = checkMemory(100 * 2 ** 20);
  assert.deepEqual([least.status, least.message], ["fail", "100 MiB available"]);
  assert.ok(least.advice);
});

test("disk and sockets in a folder that is not there", async () => {
  const none = join(folder, "none");
  assert.equal((await checkDisk(none)).status, "fail");
  const sockets = await checkSockets(none);
  assert.equal(sockets.status, "fail");
  assert.match(sockets.message, /^none can be made in .*none.*: there is no such file or folder$/);
});

test("a temporary folder too long for sockets is passed over", async () => {
  const { status, message } = await checkSockets(join(folder, "x".repeat(100)));
  assert.equal(status, "ok");
  assert.match(message, /^Unix sockets work in \/tmp, as .*x is too long/);
});

test("a library that does not load", async () => {
  const missing = await checkNative("no-such-library", "nothing works");
  assert.equal(missing.status, "fail");
  assert.match(missing.message, /^nothing works: Cannot find module 'no-such-library'/);
});

test("models", async () => {
  const repository = { pollMs: 0, instances: {}, control: "all" } as const;
  assert.equal((await checkModels(undefined)).status, "ok");
  assert.equal((await checkModels({ ...repository, directory: join(folder, "none") })).status, "fail");
  assert.equal((await checkModels({ ...repository, directory: folder })).status, "ok");
});
