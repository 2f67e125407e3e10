/** Child processes that are scripts of the test. */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import type { WorkerExit, WorkerModel } from "../contracts/launcher.ts";
import type { Logger } from "../contracts/telemetry.ts";
import { createChildLauncher } from "./child-launcher.ts";

/** Launches a script as a worker; resolves with its end and what it logged. */
async function run(test: TestContext, script: string, models: readonly WorkerModel[] = []) {
  const temporary = mkdtempSync(join(tmpdir(), "spw-test-"));
  test.after(() => rmSync(temporary, { recursive: true }));
  const program = join(temporary, "worker.mjs");
  writeFileSync(program, script);
  mkdirSync(join(temporary, "sockets"));
  const logged: [string, unknown][] = [];
  const log: Logger["info"] = (event, fields) => void logged.push([event, fields]);
  const logger: Logger = { error: log, warn: log, info: log, debug: log };
  const launcher = createChildLauncher({ program, logger, temporary: join(temporary, "sockets") });
  const worker = launcher.launch({ id: "m/1#0", models });
  const exit = await new Promise<WorkerExit>((resolve) => worker.onExit(resolve));
  assert.equal(readdirSync(join(temporary, "sockets")).length, 1);
  launcher.close();
  assert.deepEqual(readdirSync(join(temporary, "sockets")), []);
  return { exit, logged };
}

const say = (fields: object): string =>
  `process.stderr.write(${JSON.stringify(`${JSON.stringify(fields)}\n`)});`;

describe("a child", () => {
  it("that ends by itself has said why, in one line", async (test) => {
    const error = say({ level: "error", event: "broke", reason: "no room\n    at somewhere" });
    const { exit, logged } = await run(test, `${error} process.exit(3);`);
    assert.deepEqual(exit, { code: 3, signal: null, said: "no room" });
    assert.deepEqual(logged, [["worker_broke", { worker: "m/1#0", reason: "no room\n    at somewhere" }]]);
  });

  it("that is killed has said nothing about it", async (test) => {
    const script = `${say({ level: "error", event: "x", reason: "earlier" })} process.kill(process.pid, "SIGKILL");`;
    const { exit } = await run(test, script);
    assert.deepEqual(exit, { code: null, signal: "SIGKILL", said: undefined });
  });

  it("gets settings of any size: those too large for a variable it reads itself", async (test) => {
    const script = `
      const { models } = JSON.parse(process.env.SPILLWAY_WORKER_SPEC);
      process.stderr.write(JSON.stringify({ event: "got", has: models.map((one) => "config" in one).join() }) + "\\n");
    `;
    const labels = (count: number): WorkerModel => ({
      name: "m",
      version: "1",
      directory: "/m/1",
      settings: { engine: "mock", config: { labels: Array<string>(count).fill("a label of some length") } },
    });
    for (const [count, has] of [
      [1_000, "true,true"],
      [10_000, "false,false"],
    ] as const) {
      const { exit, logged } = await run(test, script, [labels(count), labels(1)]);
      assert.equal(exit.code, 0, exit.said);
      assert.deepEqual(logged, [["worker_got", { worker: "m/1#0", has }]]);
    }
  });
});

describe("a launcher", () => {
  it("that cannot make its folder says where and why", () => {
    const log = (): void => {};
    const logger: Logger = { error: log, warn: log, info: log, debug: log };
    const launch = () => createChildLauncher({ program: "x", logger, temporary: "/no/such/folder" });
    assert.throws(launch, /can be made in \/no\/such\/folder: ENOENT.*set TMPDIR to another folder/);
  });
});
