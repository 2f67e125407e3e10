/** The process a gateway starts: it serves what it can, ignores the terminal and ends with its parent. */
import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { getPriority } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import type { TestContext } from "node:test";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { buildMlp } from "../../../test/harness/onnx-build.ts";
import { formatWorkerSpec, workerEntry, workerSpecVariable } from "../src/index.ts";
import { loadVersionConfig } from "../src/repository/index.ts";
import type { TestClient } from "./support/client.ts";
import { createTestClient, floats } from "./support/client.ts";
import { temporaryFolder, temporaryRepository } from "./support/temporary.ts";

const kserve = "inference.GRPCInferenceService";

interface LogLine {
  readonly level: string;
  readonly event: string;
  readonly [field: string]: unknown;
}

/** A started worker: its process, what it logged, its client. */
interface Started {
  readonly child: ChildProcess;
  readonly lines: readonly LogLine[];
  readonly socket: string;
  readonly folder: string;
  readonly call: TestClient["call"];
}

/** Starts a worker over the versions `name/1` of a repository and waits until it listens. */
async function start(
  context: TestContext,
  files: Record<string, string | Uint8Array>,
  passConfig: "config" | "no config" = "no config",
): Promise<Started> {
  const folder = await temporaryRepository(context, files);
  const names = [...new Set(Object.keys(files).map((path) => path.split("/")[0] ?? ""))];
  const socket = join(folder, ".sockets", "0.sock");
  await mkdir(dirname(socket));
  const models = await Promise.all(
    names.map(async (name) => {
      const directory = join(folder, name, "1");
      const { config, engine } = await loadVersionConfig(directory);
      return { name, version: "1", directory, ...(passConfig === "config" ? { config, engine } : {}) };
    }),
  );
  const child = spawn(process.execPath, [...process.execArgv, fileURLToPath(workerEntry), "--supervised"], {
    env: {
      ...process.env,
      NODE_V8_COVERAGE: undefined,
      [workerSpecVariable]: formatWorkerSpec({ socket, models }),
    },
    stdio: ["pipe", "inherit", "pipe"],
  });
  context.after(() => child.kill("SIGKILL"));
  child.stdin?.on("error", () => {});
  const lines: LogLine[] = [];
  const listening = Promise.withResolvers<void>();
  createInterface({ input: child.stderr }).on("line", (line) => {
    lines.push(JSON.parse(line) as LogLine);
    if (lines.at(-1)?.event === "listening") listening.resolve();
  });
  child.once("exit", (code, signal) => listening.reject(new Error(`ended early: ${code} ${signal}`)));
  await listening.promise;
  const client = createTestClient(`unix:${socket}`);
  context.after(() => client.close());
  return { child, lines, socket, folder, call: (...parameters) => client.call(...parameters) };
}

function inferRequest(name: string, ...values: number[]) {
  const inputs = [{ name: name === "mlp" ? "x" : "features", datatype: "FP32", shape: [1, values.length] }];
  return { model_name: name, inputs, raw_input_contents: [floats(...values)] };
}

const mlp = buildMlp({ layers: [2, 2], seed: 1 });

test("leaves the processor to its gateway where both want it", async (context) => {
  const { child } = await start(context, { "mlp/1/model.onnx": mlp });
  assert.equal(getPriority(child.pid), Math.min(19, getPriority() + 5));
});

for (const passConfig of ["config", "no config"] as const) {
  test(`serves what loads and says why the rest does not (${passConfig} in its spec)`, async (context) => {
    const files = {
      "mlp/1/model.onnx": mlp,
      "corrupt/1/model.onnx": mlp.slice(0, mlp.length / 2),
      "wrong/1/model.onnx": mlp,
      "wrong/model.yaml": "outputs: { scores: probs }",
      "mistyped/1/model.onnx": mlp,
      "mistyped/model.yaml": "instance: 1",
    };
    const { call, lines } = await start(context, files, passConfig);
    const { models } = await call<{ models: { name: string; state: string; reason: string }[] }>(
      `${kserve}/RepositoryIndex`,
    );
    const shown = models.map(({ name, state, reason }) => `${name} ${state} ${reason.split("\n")[0]}`);
    assert.match(shown[0]!, /^corrupt UNAVAILABLE the ONNX file cannot be loaded: /);
    assert.match(
      shown[1]!,
      /^mistyped UNAVAILABLE mistyped\/model\.yaml:1: instance: unknown key; did you mean "instances"\?/,
    );
    assert.match(shown[2]!, /^mlp READY $/);
    assert.match(shown[3]!, /^wrong UNAVAILABLE outputs\.scores: the model has no output "probs"; it has y/);
    assert.equal(lines.filter(({ event }) => event === "model_unavailable").length, 3);
    const answer = await call<{ model_name: string }>(`${kserve}/ModelInfer`, inferRequest("mlp", 1, 2));
    assert.equal(answer.model_name, "mlp");
    await assert.rejects(call(`${kserve}/RepositoryModelLoad`, { model_name: "mlp" }), { code: 12 });
  });
}

test("ends when its standard input closes, and takes socket and folder with it", async (context) => {
  const { child, socket } = await start(context, { "mlp/1/model.onnx": mlp });
  assert.ok(existsSync(socket));
  const exit = once(child, "exit");
  child.stdin?.end();
  assert.deepEqual(await exit, [0, null]);
  assert.equal(existsSync(dirname(socket)), false);
});

test("leaves a folder that is not empty", async (context) => {
  const { child, socket } = await start(context, { "mlp/1/model.onnx": mlp });
  await writeFile(join(dirname(socket), "other"), "");
  const exit = once(child, "exit");
  child.stdin?.end();
  await exit;
  assert.deepEqual([existsSync(socket), existsSync(dirname(socket))], [false, true]);
});

test("ends when its parent is killed", async (context) => {
  const folder = await temporaryRepository(context, { "mlp/1/model.onnx": mlp });
  const socket = join(folder, "0.sock");
  const spec = formatWorkerSpec({
    socket,
    models: [{ name: "mlp", version: "1", directory: join(folder, "mlp/1") }],
  });
  const script = `
    const child = require("node:child_process").spawn(process.execPath, ${JSON.stringify([...process.execArgv, fileURLToPath(workerEntry), "--supervised"])}, { stdio: ["pipe", "ignore", "pipe"] });
    child.stderr.once("data", () => console.log(child.pid));
    setInterval(() => {}, 1000);`;
  const parent = spawn(process.execPath, ["-e", script], {
    env: { ...process.env, [workerSpecVariable]: spec },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [printed] = (await once(parent.stdout, "data")) as [Buffer];
  const pid = Number(printed);
  context.after(() => killQuietly(pid));
  parent.kill("SIGKILL");
  const end = performance.now() + 5_000;
  while (isAlive(pid) && performance.now() < end) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal(isAlive(pid), false);
});

test("signals of the terminal do not end it", async (context) => {
  const { child, call } = await start(context, { "mlp/1/model.onnx": mlp });
  child.kill("SIGINT");
  child.kill("SIGTERM");
  await call(`${kserve}/ServerLive`);
  await call(`${kserve}/ModelInfer`, inferRequest("mlp", 1, 2));
  assert.deepEqual([child.exitCode, child.signalCode], [null, null]);
});

test("a poison request kills it at once", async (context) => {
  const { child, call } = await start(context, { "mock/model.yaml": "engine: mock\nmock: { crashOn: 13 }" });
  await call(`${kserve}/ModelInfer`, inferRequest("mock", 12));
  const exit = once(child, "exit");
  await assert.rejects(call(`${kserve}/ModelInfer`, inferRequest("mock", 13)));
  assert.deepEqual(await exit, [null, "SIGKILL"]);
});

test("a leak grows its memory", async (context) => {
  const { child, call } = await start(context, { "mock/model.yaml": "engine: mock\nmock: { growMb: 4 }" });
  const resident = async () =>
    Number((await readFile(`/proc/${child.pid}/statm`, "utf8")).split(" ")[1]) * 4096;
  await call(`${kserve}/ModelInfer`, inferRequest("mock", 1));
  const before = await resident();
  for (let run = 0; run < 20; run++) await call(`${kserve}/ModelInfer`, inferRequest("mock", 1));
  const grownMb = ((await resident()) - before) / 2 ** 20;
  assert.ok(grownMb > 70, `${grownMb}`);
});

test("an address that cannot be listened on is told and ends it", async (context) => {
  const folder = await temporaryRepository(context, { "0.sock/file": "" });
  const child = spawn(process.execPath, [...process.execArgv, fileURLToPath(workerEntry), "--supervised"], {
    env: {
      ...process.env,
      [workerSpecVariable]: formatWorkerSpec({ socket: join(folder, "0.sock"), models: [] }),
    },
    stdio: ["pipe", "inherit", "pipe"],
  });
  const output: string[] = [];
  child.stderr.on("data", (chunk: Buffer) => output.push(chunk.toString()));
  const [code] = (await once(child, "close")) as [number];
  const { event, reason } = JSON.parse(output.join("")) as { event: string; reason: string };
  assert.deepEqual([code, event, /EADDRINUSE/.test(reason)], [1, "cannot_listen", true]);
});

test("a spec that cannot be read is told and ends it with 2", async () => {
  for (const spec of [undefined, "{", "[]", '{"socket":""}', '{"socket":"/tmp/x","models":[{}]}']) {
    const child = spawn(process.execPath, [...process.execArgv, fileURLToPath(workerEntry), "--supervised"], {
      env: { ...process.env, [workerSpecVariable]: spec },
      stdio: ["pipe", "inherit", "pipe"],
    });
    const output: string[] = [];
    child.stderr.on("data", (chunk: Buffer) => output.push(chunk.toString()));
    const [code] = (await once(child, "close")) as [number];
    assert.equal(code, 2);
    assert.match((JSON.parse(output.join("")) as { reason: string }).reason, /^SPILLWAY_WORKER_SPEC/);
  }
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

function killQuietly(pid: number): void {
  if (isAlive(pid)) process.kill(pid, "SIGKILL");
}

test("what it compiled is kept for the next start, although it is ended without notice", async (context) => {
  const cache = await temporaryFolder(context);
  process.env["NODE_COMPILE_CACHE"] = cache;
  context.after(() => delete process.env["NODE_COMPILE_CACHE"]);
  const { child, lines } = await start(context, { "mlp/1/model.onnx": mlp });
  const count = async () => (await readdir(cache, { recursive: true })).length;
  const endMs = performance.now() + 10_000;
  while ((await count()) < 50 && performance.now() < endMs) await sleep(20);
  child.kill("SIGKILL");
  await once(child, "exit");
  assert.equal(lines.at(-1)?.event, "listening");
  assert.ok((await count()) >= 50, `${await count()} files`);
});
