/** The installing thread: several packages at once, cancellation, its end, and a process that is killed in the middle. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { it, type TestContext } from "node:test";
import { noise, packageOf, sha256Of } from "../../../../../test/harness/model-package.ts";
import { startPackageServer } from "../../../../../test/harness/package-server.ts";
import { until } from "../../../../../test/harness/until.ts";
import { systemClock } from "../../core/clock.ts";
import type { Installed, InstallJob, InstallProgress } from "./install-package.ts";
import { ModelInstaller } from "./model-installer.ts";
import type { TransferFailure } from "./transfer-failure.ts";

const good = packageOf("not read here", "task: classify\n");
const large = packageOf(noise(300_000), "task: classify\n");

interface Ran {
  readonly answer: Installed | TransferFailure;
  readonly progress: readonly InstallProgress[];
}

async function setup(test: TestContext) {
  const repository = mkdtempSync(join(tmpdir(), "spillway-install-"));
  test.after(() => rmSync(repository, { recursive: true, force: true }));
  const server = await startPackageServer(test);
  const installer = new ModelInstaller(systemClock);
  test.after(() => installer.close());
  const job = (model: string, bytes: Uint8Array): InstallJob => ({
    repository,
    model,
    version: "1",
    url: `${server.url}/${model}`,
    contentId: "c1",
    sha256: sha256Of(bytes),
    bytes: bytes.byteLength,
    maxBytes: 2 ** 24,
    stallMs: 20_000,
    ca: undefined,
    session: "s1",
  });
  const run = (one: InstallJob): { readonly ran: Promise<Ran>; readonly cancel: () => void } => {
    const progress: InstallProgress[] = [];
    const { promise, resolve } = Promise.withResolvers<Ran>();
    const installation = installer.install(one, {
      progress: (told) => progress.push(told),
      done: (answer) => resolve({ answer, progress }),
    });
    return { ran: promise, cancel: () => installation.cancel() };
  };
  return { repository, server, installer, job, run };
}

it("installs several packages at once and tells how far each is", async (test) => {
  const { repository, server, job, run } = await setup(test);
  const names = ["a", "b", "c"];
  for (const name of names) server.files.set(`/${name}`, { bytes: good });
  const ran = await Promise.all(names.map((name) => run(job(name, good)).ran));
  for (const { answer, progress } of ran) {
    assert.ok("sha256" in answer);
    assert.deepEqual([answer.sha256, answer.bytes], [sha256Of(good), good.length]);
    assert.deepEqual(progress.at(-1), { phase: "verifying", received: good.length, total: good.length });
  }
  assert.deepEqual(
    readdirSync(repository).filter((name) => !name.startsWith(".")),
    names,
  );
});

it("calls one off, and keeps what has arrived", async (test) => {
  const { repository, server, job, run } = await setup(test);
  server.files.set("/m", { bytes: large, stallAfter: 5_000 });
  const { ran, cancel } = run(job("m", large));
  const part = join(repository, ".parts/m");
  await until("a part is there", () => sizeOf(part) === 5_000);
  cancel();
  cancel();
  const { answer } = await ran;
  assert.ok("failed" in answer);
  assert.match(answer.reason, /called off/);
  assert.equal(sizeOf(part), 5_000);
  await until("the connection is closed", () => server.open() === 0);
});

it("fails what runs when it is closed, and everything after", async (test) => {
  const { server, installer, job, run } = await setup(test);
  server.files.set("/m", { bytes: large, stallAfter: 5_000 });
  const { ran } = run(job("m", large));
  await until("it is under way", () => server.open() === 1);
  await installer.close();
  await installer.close();
  for (const { answer } of [await ran, await run(job("m", large)).ran]) assert.ok("failed" in answer);
});

it("goes on after its process was killed in the middle of a download", async (test) => {
  const { repository, server, job, run } = await setup(test);
  server.files.set("/m", { bytes: large, stallAfter: 6_000 });
  const program = fileURLToPath(import.meta.resolve("../../../../../test/harness/package-installer.ts"));
  const child = spawn(
    process.execPath,
    ["--conditions=source", program, JSON.stringify({ ...job("m", large), session: "s0" })],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  test.after(() => child.kill("SIGKILL"));
  createInterface(child.stdout).on("line", () => {});
  await until("a part is there", () => sizeOf(join(repository, ".parts/m")) === 6_000);
  child.kill("SIGKILL");
  await once(child, "exit");
  assert.deepEqual(readdirSync(repository), [".parts"]);
  server.files.set("/m", { bytes: large });
  server.asked.length = 0;
  const { answer } = await run(job("m", large)).ran;
  assert.ok("sha256" in answer);
  assert.deepEqual([answer.sha256, answer.bytes], [sha256Of(large), large.length]);
  assert.deepEqual(
    server.asked.map(({ range }) => range),
    ["bytes=6000-"],
  );
});

function sizeOf(file: string): number | undefined {
  return statSync(file, { throwIfNoEntry: false })?.size;
}
