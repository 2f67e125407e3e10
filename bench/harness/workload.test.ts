import assert from "node:assert/strict";
import { access, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { buildBodies } from "../load/bodies.ts";
import { LatencyHistogram } from "../load/histogram.ts";
import { prepareModels } from "./bench-models.ts";
import { bestBatch, runInProcess } from "./in-process.ts";
import { loadOf, parameterOf, readWorkload, workloadIds } from "./workload.ts";

test("every workload file can be read, its loads can be run and its bodies built", async () => {
  const ids = await workloadIds();
  assert.ok(ids.length >= 9, ids.join(", "));
  for (const id of ids) {
    const workload = await readWorkload(id);
    assert.ok(workload.description.length > 20, id);
    for (const plan of Object.values(workload.loads)) {
      for (const { body } of plan.requests)
        if (body !== undefined) assert.ok(buildBodies(body).length > 0, id);
    }
  }
});

test("requests name only models that their workload lays out", async () => {
  for (const id of await workloadIds()) {
    const workload = await readWorkload(id);
    const names = workload.models.map((model) => model.name);
    for (const { path } of Object.values(workload.loads).flatMap((plan) => plan.requests)) {
      const model = /^\/v2\/models\/([^/]+)\/infer$/.exec(path)?.[1];
      if (model !== undefined) assert.ok(names.includes(model), `${id}: ${model}`);
    }
  }
});

test("the 602 KB workload sends 602,112 bytes of tensor", async () => {
  const [request] = loadOf(await readWorkload("identity-602k-binary")).requests;
  const [body] = request?.body === undefined ? [] : buildBodies(request.body);
  const headerLength = Number(body?.headers["Inference-Header-Content-Length"]);
  assert.equal((body?.bytes.length ?? 0) - headerLength, 602_112);
});

test("a missing role or parameter is named", async () => {
  const workload = await readWorkload("mlp64-json");
  assert.throws(() => loadOf(workload, "slow"), /mlp64-json has no load "slow"; it has main/);
  assert.throws(() => parameterOf(workload, "kills"), /no parameter "kills"/);
  await assert.rejects(readWorkload("nothing"), /ENOENT/);
});

test("models are laid out alike each time, and the in-process reference runs them", async (context) => {
  const parent = await mkdtemp(join(tmpdir(), "models-"));
  context.after(() => rm(parent, { recursive: true }));
  const mix = await prepareModels(await readWorkload("mix-fast-beside-slow"), parent);
  await access(join(mix.directory, "v1-mock", "model.yaml"));
  const poison = await prepareModels(await readWorkload("poison"), parent);
  assert.deepEqual(poison.instances, { fragile: 2 });
  assert.match(await readFile(join(poison.directory, "fragile", "model.yaml"), "utf8"), /"crashOn": 666/);
  const model = mix.onnxFiles["mlp64"] ?? "";
  const bytes = await readFile(model);
  await prepareModels(await readWorkload("mix-fast-beside-slow"), parent);
  assert.deepEqual(await readFile(model), bytes);
  const result = await runInProcess({ model, batches: [1, 8], durationMs: 60, warmUpMs: 20 });
  assert.deepEqual(
    result.batches.map(({ batch }) => batch),
    [1, 8],
  );
  assert.ok(
    result.batches.every((one) => one.itemsPerSecond > 10 && one.latency.p50Ms > 0 && one.cpuUsPerItem > 0),
  );
});

test("the best batch is the one with the highest rate of items", () => {
  const latency = new LatencyHistogram().summary();
  const batches = [1, 8, 32].map((batch, index) => ({
    batch,
    itemsPerSecond: [10, 30, 20][index] ?? 0,
    latency,
    cpuUsPerItem: 1,
  }));
  assert.equal(bestBatch({ batches }).batch, 8);
});
