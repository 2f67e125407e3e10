import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { tmpdir } from "node:os";
import { test, type TestContext } from "node:test";
import { isRunning } from "../../../../../test/harness/processes.ts";
import { until } from "../../../../../test/harness/until.ts";
import type { LlmEngineState } from "../../contracts/llm-engine.ts";
import { systemClock, type Clock } from "../../core/clock.ts";
import { createManualClock } from "../../testing.ts";
import { installedMark } from "./engine-files.ts";
import { LlamaEngine } from "./llama-engine.ts";

/** An engine in name only: says that it listens, and ends with its parent or as `mode` says. */
const program = `
import { appendFileSync } from "node:fs";
const library = process.argv[process.argv.indexOf("--library") + 1];
appendFileSync(library + "/starts", process.argv.slice(2).join(" ") + "\\n");
process.stdin.on("end", () => process.exit(0)).resume();
if (process.argv.includes("--threads=7")) {
  console.error(JSON.stringify({ level: "error", event: "cannot_start", reason: "no such thread" }));
  process.exit(1);
}
console.error(JSON.stringify({ level: "info", event: "listening" }));
`;

const quiet = (): void => {};

function engineOver(
  t: TestContext,
  more: { threads?: number; pollMs?: number; clock?: Clock; silentMs?: () => number } = {},
) {
  const folder = mkdtempSync(path.join(tmpdir(), "spw-llm-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const [models, library] = [path.join(folder, "models"), path.join(folder, "library")];
  mkdirSync(path.join(models, "a/1"), { recursive: true });
  mkdirSync(library);
  const file = path.join(folder, "engine.mjs");
  writeFileSync(file, program);
  const states: LlmEngineState[] = [];
  const engine = new LlamaEngine({
    folders: [models],
    library,
    program: file,
    pollMs: more.pollMs ?? 10,
    threads: more.threads,
    sequences: 3,
    contextSize: undefined,
    memoryBytes: 2 ** 30,
    keepAliveMs: Infinity,
    maxQueue: undefined,
    clock: more.clock ?? systemClock,
    logger: { error: quiet, warn: quiet, info: quiet, debug: quiet },
    backoffMs: { initial: 20, max: 40 },
    isBusy: () => false,
    silentMs: more.silentMs ?? (() => 0),
  });
  t.after(() => engine.close());
  engine.onChange(() => states.push(engine.state));
  const install = (): void => {
    const mark = path.join(library, installedMark);
    mkdirSync(path.dirname(mark), { recursive: true });
    writeFileSync(mark, '{"version":"1.2.3"}');
  };
  const addModel = (): void => writeFileSync(path.join(models, "a/1/x.gguf"), "");
  const starts = (): string[] => {
    const log = path.join(library, "starts");
    return existsSync(log) ? readFileSync(log, "utf8").trimEnd().split("\n") : [];
  };
  return { engine, states, install, addModel, starts };
}

test("starts once there is a model and the engine is installed", async (t) => {
  const { engine, states, install, addModel, starts } = engineOver(t);
  await engine.start();
  assert.equal(engine.state, "idle");
  addModel();
  await until("the engine is missing", () => engine.state === "missing");
  assert.match(engine.reason ?? "", /spillway engines add llama/);
  install();
  await until("the engine is ready", () => engine.state === "ready");
  assert.deepEqual(states, ["missing", "starting", "ready"]);
  const [line = ""] = starts();
  assert.ok(line.includes(`--socket ${engine.access.socketPath}`), line);
  assert.ok(line.includes("--memory=1024 --keep-alive=-1"), line);
});

test("is started again when it dies, and ends for good when it is closed", async (t) => {
  const { engine, install, addModel } = engineOver(t);
  install();
  addModel();
  await engine.start();
  await until("the engine is ready", () => engine.state === "ready");
  const first = engine.pid ?? 0;
  process.kill(first, "SIGKILL");
  await until("another is ready", () => engine.state === "ready" && engine.pid !== first);
  const second = engine.pid ?? 0;
  const socketFolder = path.dirname(engine.access.socketPath ?? "");
  assert.ok(existsSync(socketFolder));
  engine.close();
  engine.close();
  await until("the process has ended", () => !isRunning(second));
  assert.equal(engine.state, "closed");
  assert.equal(existsSync(socketFolder), false);
});

test("one that cannot start is tried again after growing pauses, and says why", async (t) => {
  const { engine, install, addModel, starts } = engineOver(t, { threads: 7 });
  install();
  addModel();
  await engine.start();
  await until("it was tried four times", () => starts().length >= 4);
  await until("it has failed", () => engine.state === "failed");
  assert.match(engine.reason ?? "", /exited with code 1: no such thread/);
});

test("one that says nothing for half a minute though it was asked is killed and started again", async (t) => {
  const clock = createManualClock();
  let silentMs = 29_000;
  const { engine, install, addModel } = engineOver(t, { clock, silentMs: () => silentMs });
  install();
  addModel();
  await engine.start();
  await until("the engine is ready", () => engine.state === "ready");
  const first = engine.pid ?? 0;
  clock.advance(2_000);
  assert.equal(engine.state, "ready");
  silentMs = 31_000;
  clock.advance(2_000);
  await until("it has ended", () => engine.state === "starting");
  assert.equal(isRunning(first), false);
  silentMs = 0;
  clock.advance(1);
  await until("another is ready", () => engine.state === "ready");
  assert.notEqual(engine.pid, first);
});
