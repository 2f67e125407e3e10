/** A loaded version: checks before the line, pictures decoded meanwhile, statistics, closing. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeBytesElements } from "@spillway/protocol/tensors";
import { fixedBatch } from "../calibrate.ts";
import type { Engine } from "../engines/engine.ts";
import { ImageError } from "../preprocess/image.ts";
import { isRefusal } from "../refusal.ts";
import { defaultModelConfig } from "../repository/model-config.ts";
import type { Tensor } from "../tensor.ts";
import { floatTensor } from "../tensor.ts";
import type { InferResult, LoadedModelParts } from "./loaded-model.ts";
import { LoadedModel } from "./loaded-model.ts";

/** A model whose runs end when told, on a clock that stands still unless moved. */
function createModel(parts: Partial<LoadedModelParts> = {}, depth = 1) {
  const control = {
    nowMs: 0,
    started: [] as Tensor[][],
    finish: [] as ((error?: Error) => void)[],
    closed: false,
  };
  const engine: Engine = {
    kind: "onnx",
    platform: "test",
    inputs: [{ name: "x", datatype: "FP32", shape: [-1, 2] }],
    outputs: [{ name: "y", datatype: "FP32", shape: [-1, 2] }],
    dynamicRows: true,
    depth,
    infer: (inputs) => {
      control.started.push([...inputs]);
      return new Promise((resolve, reject) =>
        control.finish.push((error) => (error === undefined ? resolve([...inputs]) : reject(error))),
      );
    },
    close: () => {
      control.closed = true;
      return Promise.resolve();
    },
  };
  const image = { tensor: "x", width: 2, height: 1, channels: 1, layout: "HWC", scale: 1 } as const;
  const config = defaultModelConfig();
  const model = new LoadedModel({
    name: "m",
    version: "1",
    config: { ...config, input: { image: { ...image, mean: [], std: [], fit: "fill", maxPixels: 100 } } },
    engine,
    task: { task: null, labels: [], thresholds: {}, outputs: {}, input: {} },
    decoder: undefined,
    calibration: fixedBatch(8, "test"),
    batchable: true,
    clock: { now: () => control.nowMs, sleep: () => Promise.resolve() },
    wallNow: () => 1_000,
    ...parts,
  });
  return { model, control };
}

const x = (rows: number) => floatTensor("x", [rows, 2], new Float32Array(rows * 2));
const pictures: Tensor = {
  name: "image",
  datatype: "BYTES",
  shape: [1],
  data: encodeBytesElements([Buffer.from("p")]),
};

function ask(model: LoadedModel, inputs: readonly Tensor[], isCancelled = () => false) {
  return new Promise<InferResult | { message: string }>((done) =>
    model.infer({ inputs, outputs: [], isCancelled }, done),
  );
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

test("requests run one at a time; a cancelled one is never run nor answered", async () => {
  const { model, control } = createModel();
  const first = ask(model, [x(1)]);
  let answered = false;
  void ask(model, [x(2)], () => true).then(() => (answered = true));
  const third = ask(model, [x(3)]);
  await turn();
  assert.equal(control.started.length, 1);
  control.finish[0]?.();
  await first;
  await turn();
  assert.deepEqual(
    control.started.map(([input]) => input?.shape[0]),
    [1, 3],
  );
  control.finish[1]?.();
  await third;
  assert.equal(answered, false);
});

test("statistics keep waiting, decoding and computing apart", async () => {
  const { model, control } = createModel();
  const first = ask(model, [x(1)]);
  const second = ask(model, [x(4)]);
  control.nowMs = 5;
  control.finish[0]?.();
  await first;
  await turn();
  control.nowMs = 25;
  control.finish[1]?.();
  const result = await second;
  assert.ok(!isRefusal(result) && "computeNs" in result);
  assert.deepEqual([result.computeNs, result.preprocessNs], [20e6, 0]);
  const { success, queue, computeInfer, inferenceCount, executionCount, batches, lastInferenceMs } =
    model.statistics;
  assert.deepEqual(
    [success, queue, computeInfer],
    [
      { count: 2, ns: 30e6 },
      { count: 2, ns: 5e6 },
      { count: 2, ns: 25e6 },
    ],
  );
  assert.deepEqual(
    [inferenceCount, executionCount, batches.get(4)?.ns, lastInferenceMs],
    [5, 2, 20e6, 1_000],
  );
});

test("an engine that is asked ahead computes from the end of the run before", async () => {
  const { model, control } = createModel({}, 2);
  const answers = [ask(model, [x(1)]), ask(model, [x(1)]), ask(model, [x(1)])];
  await turn();
  assert.equal(control.started.length, 2);
  const computed: number[] = [];
  for (const [run, endMs] of [5, 25, 31].entries()) {
    control.nowMs = endMs;
    control.finish[run]?.();
    const result = await answers[run];
    assert.ok(result !== undefined && "computeNs" in result);
    computed.push(result.computeNs);
    await turn();
  }
  assert.deepEqual(computed, [5e6, 20e6, 6e6]);
  const { queue, computeInfer } = model.statistics;
  assert.deepEqual([queue.ns, computeInfer.ns], [(0 + 5 + 25) * 1e6, 31e6]);
});

test("what does not fit is refused at once, ahead of the line", async () => {
  const { model } = createModel();
  void ask(model, [x(1)]);
  const message = async (inputs: Tensor[]) => ((await ask(model, inputs)) as { message: string }).message;
  assert.match(await message([]), /model "m": missing input "x"/);
  assert.match(await message([x(0)]), /input "x": expected at least one row, got \[0,2\]/);
  assert.match(await message([pictures]), /unexpected input "image"/);
  assert.equal(model.statistics.fail.count, 3);
});

test("a failing run is told and the next one goes on", async () => {
  const { model, control } = createModel();
  const failing = ask(model, [x(1)]);
  const good = ask(model, [x(1)]);
  await turn();
  control.finish[0]?.(new Error("no such luck"));
  assert.deepEqual(await failing, { code: 13, message: 'model "m" failed: no such luck' });
  await turn();
  control.finish[1]?.();
  assert.ok("outputs" in (await good));
});

test("pictures are decoded while an earlier request runs, and fill the tensor", async () => {
  const decoding: ((tensor: Tensor) => void)[] = [];
  const { model, control } = createModel({ decoder: () => new Promise((resolve) => decoding.push(resolve)) });
  const first = ask(model, [x(1)]);
  const second = ask(model, [pictures]);
  const third = ask(model, [pictures]);
  await turn();
  assert.deepEqual([control.started.length, decoding.length], [1, 2]);
  for (const resolve of decoding) resolve(x(1));
  control.finish[0]?.();
  await first;
  await turn();
  assert.equal(control.started[1]?.[0]?.name, "x");
  control.finish[1]?.();
  await second;
  await turn();
  control.finish[2]?.();
  await third;
});

test("bad pictures are the caller's fault, by row; anything else is ours", async () => {
  const bad = createModel({ decoder: () => Promise.reject(new ImageError("picture 1 of 2 is empty", [0])) });
  assert.deepEqual(await ask(bad.model, [pictures]), {
    code: 3,
    message: 'model "m": input "image": picture 1 of 2 is empty',
    badRows: [0],
  });
  const broken = createModel({ decoder: () => Promise.reject(new Error("no decoder")) });
  assert.deepEqual(await ask(broken.model, [pictures]), {
    code: 13,
    message: 'model "m" failed: no decoder',
  });
});

test("a full line refuses", async () => {
  const { model } = createModel();
  for (let index = 0; index < 1_025; index++) void ask(model, [x(1)]);
  const refused = await ask(model, [x(1)]);
  assert.deepEqual(refused, { code: 14, message: 'model "m": Exceeds maximum queue size' });
});

test("closing waits for what is in line and refuses what comes after", async () => {
  const { model, control } = createModel();
  const running = ask(model, [x(1)]);
  const closed = model.close();
  assert.match(((await ask(model, [x(1)])) as { message: string }).message, /version 1 is unloaded/);
  assert.equal(control.closed, false);
  control.finish[0]?.();
  await running;
  await closed;
  assert.equal(control.closed, true);
});
