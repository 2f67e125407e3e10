/** From files to a model that answers, with the batch size that fits it. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { test } from "node:test";
import { buildIdentity, buildMlp } from "../../../../test/harness/onnx-build.ts";
import { buildGraph } from "../../test/support/onnx-graph.ts";
import { temporaryRepository } from "../../test/support/temporary.ts";
import { silentLog } from "../log.ts";
import { loadVersionConfig } from "../repository/version-config.ts";
import type { LoadModelOptions } from "./load-model.ts";
import { loadModel, mockMaxBatch } from "./load-model.ts";

/** Loads version 1 of a model `m` with those files. */
async function load(
  context: TestContext,
  files: Record<string, string | Uint8Array>,
  options: Partial<LoadModelOptions> & { maxBatch?: number } = {},
) {
  const folder = await temporaryRepository(context, files);
  const directory = join(folder, "m", "1");
  const { config, engine, error } = await loadVersionConfig(directory);
  if (error !== undefined) throw new Error(error);
  const source = { name: "m", version: "1", directory, config, engine, maxBatch: options.maxBatch };
  const model = await loadModel(source, { log: silentLog, ...options });
  context.after(() => model.close());
  return model;
}

test("a small network is measured and batched", async (context) => {
  const model = await load(context, { "m/1/model.onnx": buildMlp({ layers: [64, 32, 10], seed: 1 }) });
  assert.equal(model.batchable, true);
  assert.ok(model.maxBatch >= 8, `${model.maxBatch}`);
  assert.ok(model.calibration.points.length >= 4);
  assert.ok(model.calibration.tookMs < 2_000);
});

test("nothing is measured where the size is known", async (context) => {
  const files = { "m/1/model.onnx": buildMlp({ layers: [4, 3], seed: 1 }) };
  const told = await load(context, files, { maxBatch: 5 });
  assert.deepEqual([told.maxBatch, told.calibration.points.length], [5, 0]);
  const configured = await load(
    context,
    { ...files, "m/model.yaml": "batching: { maxBatch: 7 }" },
    { maxBatch: 5 },
  );
  assert.deepEqual([configured.maxBatch, configured.calibration.reason], [7, "set by batching.maxBatch"]);
});

test("a fixed first dimension and rows that mix are not batched", async (context) => {
  const port = (name: string, rows: number | string) => ({
    name,
    datatype: "FP32" as const,
    shape: [rows, 2],
  });
  const fixed = await load(context, {
    "m/1/model.onnx": buildGraph({
      nodes: [{ operator: "Identity", inputs: ["x"], output: "y" }],
      inputs: [port("x", 1)],
      outputs: [port("y", 1)],
    }),
  });
  assert.deepEqual([fixed.batchable, fixed.maxBatch], [false, 1]);
  // Softmax over the rows: each row's answer depends on the others.
  const mixing = await load(context, {
    "m/1/model.onnx": buildGraph({
      nodes: [{ operator: "Softmax", inputs: ["x"], output: "y", attributes: { axis: 0 } }],
      inputs: [port("x", "N")],
      outputs: [port("y", "N")],
    }),
  });
  assert.deepEqual([mixing.batchable, mixing.maxBatch], [false, 1]);
  assert.match(mixing.calibration.reason, /rows of one call change each other's "y"/);
});

test("a mock is not measured", async (context) => {
  const model = await load(context, { "m/model.yaml": "engine: mock\nmock: { latencyMs: 60000 }" });
  assert.deepEqual([model.batchable, model.maxBatch], [true, mockMaxBatch]);
});

test("a model that refuses made-up inputs is served, alone and with a warning", async (context) => {
  const events: string[] = [];
  // Wants as many columns as rows, which made-up inputs do not have.
  const graph = buildGraph({
    nodes: [{ operator: "MatMul", inputs: ["a", "b"], output: "y" }],
    inputs: [
      { name: "a", datatype: "FP32", shape: ["N", "W"] },
      { name: "b", datatype: "FP32", shape: ["N", "W"] },
    ],
    outputs: [{ name: "y", datatype: "FP32", shape: ["N", "W"] }],
  });
  const model = await load(
    context,
    { "m/1/model.onnx": graph },
    { log: (_level, event) => void events.push(event) },
  );
  assert.deepEqual([model.batchable, model.maxBatch, events], [false, 1, ["warmup_failed"]]);
});

test("what model.yaml says of tensors must hold", async (context) => {
  const onnx = buildIdentity({ width: 4 });
  const image = "tensor: x, width: 3, height: 3, channels: 1";
  await assert.rejects(
    load(context, { "m/1/model.onnx": onnx, "m/model.yaml": `input: { image: { ${image} } }` }),
    /do not fit "x"/,
  );
  await assert.rejects(
    load(context, { "m/1/model.onnx": onnx, "m/model.yaml": "outputs: { scores: z }" }),
    /no output "z"/,
  );
});

test("the built-in models load as their model.yaml says", async (context) => {
  const models = new URL("../../../../models/", import.meta.url);
  for (const [name, task] of [
    ["iris", "classify"],
    ["sentiment", "classify"],
    ["v1-mock", "classify"],
  ] as const) {
    const files: Record<string, string | Uint8Array> = {
      "m/model.yaml": await readFile(new URL(`${name}/model.yaml`, models)),
    };
    if (name === "iris") files["m/1/model.onnx"] = await readFile(new URL("iris/1/model.onnx", models));
    const model = await load(context, files);
    assert.deepEqual([model.task.task, model.task.outputs.scores], [task, "scores"]);
    assert.ok(model.task.labels.length >= 3);
  }
});
