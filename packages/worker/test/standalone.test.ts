/** A worker of its own: versions that come, change, break and go while it answers. */
import assert from "node:assert/strict";
import { rename, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { test } from "node:test";
import { buildIdentity, buildMlp } from "../../../test/harness/onnx-build.ts";
import { silentLog } from "../src/log.ts";
import type { StandaloneWorkerOptions } from "../src/standalone/standalone-worker.ts";
import { startStandaloneWorker } from "../src/standalone/standalone-worker.ts";
import { createTestClient, floats } from "./support/client.ts";
import { temporaryFolder, temporaryRepository, writeFiles } from "./support/temporary.ts";

const kserve = "inference.GRPCInferenceService";

const model = (seed: number) => buildMlp({ layers: [2, 2], seed });

interface IndexEntry {
  name: string;
  version: string;
  state: string;
  reason: string;
}

/** A worker over a new repository, its client, and the folder. */
async function start(
  context: TestContext,
  files: Record<string, string | Uint8Array>,
  options: Partial<StandaloneWorkerOptions> = {},
) {
  const folder = await temporaryRepository(context, files);
  const worker = await startStandaloneWorker({
    models: folder,
    port: 0,
    pollMs: 20,
    log: silentLog,
    ...options,
  });
  const client = createTestClient(`127.0.0.1:${worker.port}`);
  context.after(async () => {
    client.close();
    await worker.close();
  });
  await worker.loaded;
  const index = async () => (await client.call<{ models: IndexEntry[] }>(`${kserve}/RepositoryIndex`)).models;
  const states = async () => (await index()).map(({ name, version, state }) => `${name}/${version} ${state}`);
  const infer = async (name: string, version = "") => {
    const inputs = [{ name: "x", datatype: "FP32", shape: [1, 2] }];
    const request = { model_name: name, model_version: version, inputs, raw_input_contents: [floats(1, 2)] };
    return client.call<{ model_version: string }>(`${kserve}/ModelInfer`, request);
  };
  return { folder, worker, client, index, states, infer };
}

/** Asks until the answer is right; fails after five seconds with the last one. */
async function eventually<Value>(ask: () => Promise<Value>, expected: Value): Promise<void> {
  const end = performance.now() + 5_000;
  let last = await ask();
  while (performance.now() < end) {
    try {
      assert.deepEqual(last, expected);
      return;
    } catch {
      last = await ask();
    }
  }
  assert.deepEqual(last, expected);
}

test("a new version takes over without a failed request, the old one goes", async (context) => {
  const { folder, states, infer } = await start(context, { "m/1/model.onnx": model(1) });
  assert.deepEqual(await states(), ["m/1 READY"]);
  let failed = 0;
  let running = true;
  const load = (async () => {
    while (running) await infer("m").catch(() => failed++);
  })();
  await writeFiles(folder, { "m/2/model.onnx": model(2) });
  await eventually(states, ["m/2 READY"]);
  running = false;
  await load;
  assert.equal(failed, 0);
  assert.equal((await infer("m")).model_version, "2");
});

test("a broken new version leaves the old one serving and says why", async (context) => {
  const { folder, states, infer, index } = await start(context, { "m/1/model.onnx": model(1) });
  await writeFiles(folder, { "m/2/model.onnx": "garbage" });
  await eventually(states, ["m/1 READY", "m/2 UNAVAILABLE"]);
  assert.match((await index())[1]!.reason, /the ONNX file cannot be loaded/);
  assert.equal((await infer("m")).model_version, "1");
  await writeFiles(folder, { "m/2/model.onnx": model(2) });
  await eventually(states, ["m/2 READY"]);
});

test("a served version that is replaced by a broken file keeps answering as before", async (context) => {
  const { folder, index, infer } = await start(context, { "m/1/model.onnx": model(1) });
  await writeFiles(folder, { "m/1/model.onnx": "garbage" });
  await eventually(
    async () => (await index()).map(({ reason }) => reason.includes("cannot be loaded")),
    [true],
  );
  assert.equal((await infer("m")).model_version, "1");
  await writeFiles(folder, { "m/1/model.onnx": model(3) });
  await eventually(async () => (await index()).map(({ reason }) => reason), [""]);
});

test("a broken model.yaml is told beside the serving version, and forgotten when mended", async (context) => {
  const { folder, index, infer } = await start(context, { "m/1/model.onnx": model(1) });
  await writeFiles(folder, { "m/model.yaml": "instances: none" });
  const reasons = async () => (await index()).map(({ state, reason }) => `${state} ${reason.slice(0, 24)}`);
  await eventually(reasons, ["READY m/model.yaml:1: instance"]);
  assert.equal((await infer("m")).model_version, "1");
  await rm(join(folder, "m/model.yaml"));
  await eventually(reasons, ["READY "]);
});

test("models come and go with their folders", async (context) => {
  const { folder, states } = await start(context, { "a/1/model.onnx": model(1) });
  await writeFiles(folder, { "b/1/model.onnx": model(1) });
  await eventually(states, ["a/1 READY", "b/1 READY"]);
  const elsewhere = await temporaryFolder(context);
  await rename(join(folder, "a"), join(elsewhere, "a"));
  await eventually(states, ["b/1 READY"]);
});

test("unload takes a model away until it is loaded again, whatever the disk says", async (context) => {
  const { folder, states, client, infer } = await start(context, {
    "m/1/model.onnx": model(1),
    "n/1/model.onnx": model(1),
  });
  await client.call(`${kserve}/RepositoryModelUnload`, { model_name: "m" });
  assert.deepEqual(await states(), ["n/1 READY"]);
  await writeFiles(folder, { "m/2/model.onnx": model(2), "n/2/model.onnx": model(2) });
  await eventually(states, ["n/2 READY"]);
  await assert.rejects(infer("m"), { code: 5 });
  await client.call(`${kserve}/RepositoryModelLoad`, { model_name: "m" });
  assert.deepEqual(await states(), ["m/2 READY", "n/2 READY"]);
});

test("load and unload refuse what they cannot do", async (context) => {
  const { client, folder } = await start(context, { "m/1/model.onnx": model(1) }, { pollMs: 0 });
  const load = (request: object) => client.call(`${kserve}/RepositoryModelLoad`, request);
  await assert.rejects(load({ model_name: "no" }), { code: 5 });
  await assert.rejects(load({ model_name: "../m" }), { code: 5 });
  await assert.rejects(load({ model_name: "m", parameters: { config: { string_param: "{}" } } }), {
    code: 3,
  });
  await assert.rejects(client.call(`${kserve}/RepositoryModelUnload`, { model_name: "no" }), { code: 5 });
  await writeFiles(folder, { "bad/1/model.onnx": "x" });
  await assert.rejects(load({ model_name: "bad" }), (error: Error & { code: number; details: string }) => {
    assert.equal(error.code, 9);
    assert.match(error.details, /^bad\/1: the ONNX file cannot be loaded/);
    return true;
  });
  await writeFiles(folder, { "m/1/model.onnx": buildIdentity({ width: 2 }) });
  await load({ model_name: "m" });
});

test("a model whose new version takes other inputs swaps them", async (context) => {
  const { folder, client, states } = await start(context, { "m/1/model.onnx": model(1) });
  await writeFiles(folder, { "m/2/model.onnx": buildMlp({ layers: [5, 2], seed: 1, inputName: "other" }) });
  await eventually(states, ["m/2 READY"]);
  const { inputs } = await client.call<{ inputs: { name: string; shape: number[] }[] }>(
    `${kserve}/ModelMetadata`,
    { name: "m" },
  );
  assert.deepEqual(
    inputs.map(({ name, shape }) => [name, shape]),
    [["other", [-1, 5]]],
  );
});

test("draining: health says so, running calls end, new connections are refused", async (context) => {
  const { worker, client } = await start(context, {
    "slow/model.yaml": "engine: mock\nmock: { latencyMs: 300 }",
  });
  const watch = client.definitions["grpc.health.v1.Health"] as never as Record<string, never>;
  const method = watch["Watch"]! as {
    path: string;
    requestSerialize: (value: object) => Buffer;
    responseDeserialize: (bytes: Buffer) => { status: string };
  };
  const stream = client.raw.makeServerStreamRequest(
    method.path,
    method.requestSerialize,
    method.responseDeserialize,
    { service: "" },
  );
  const statuses: string[] = [];
  const first = Promise.withResolvers<void>();
  stream.on("data", ({ status }: { status: string }) => {
    statuses.push(status);
    first.resolve();
  });
  stream.on("error", () => {});
  await first.promise;
  const inputs = [{ name: "features", datatype: "FP32", shape: [1, 1] }];
  const running = client.call(`${kserve}/ModelInfer`, {
    model_name: "slow",
    inputs,
    raw_input_contents: [floats(1)],
  });
  await client.call(`${kserve}/ServerLive`);
  const closing = worker.close();
  await running;
  stream.cancel();
  await closing;
  assert.deepEqual(statuses, ["SERVING", "NOT_SERVING"]);
  const late = createTestClient(`127.0.0.1:${worker.port}`);
  await assert.rejects(late.call(`${kserve}/ServerLive`, {}, 2_000), { code: 14 });
  late.close();
});

test("a taken port and an unreadable repository are told", async (context) => {
  const blocker = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => blocker.once("listening", resolve));
  context.after(() => blocker.close());
  const { port } = blocker.address() as { port: number };
  await assert.rejects(startStandaloneWorker({ models: "/", port, log: silentLog }), /EADDRINUSE/);
  const worker = await startStandaloneWorker({ models: "/no/such/folder", port: 0, log: silentLog });
  await assert.rejects(worker.loaded, /ENOENT/);
  await worker.close();
});
