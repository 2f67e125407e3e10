/** A model on a thread of its own: the loop goes on, calls keep their order and their bytes. */
import assert from "node:assert/strict";
import { setImmediate as turn } from "node:timers/promises";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { buildMlp } from "../../../../test/harness/onnx-build.ts";
import { buildTypedIdentity } from "../../test/support/onnx-graph.ts";
import { temporaryRepository } from "../../test/support/temporary.ts";
import { defaultModelConfig } from "../repository/model-config.ts";
import { floatTensor, floatValues } from "../tensor.ts";
import type { Engine } from "./engine.ts";
import { loadEngine } from "./load-engine.ts";

type OwnThread = ReturnType<typeof defaultModelConfig>["onnx"]["ownThread"];

async function load(
  context: TestContext,
  files: Readonly<Record<string, Uint8Array>>,
  ownThread: OwnThread,
): Promise<Engine> {
  const config = defaultModelConfig();
  const folder = await temporaryRepository(context, files);
  const engine = await loadEngine("onnx", folder, { ...config, onnx: { ...config.onnx, ownThread } });
  context.after(() => engine.close());
  return engine;
}

/** Turns of this thread's loop while the model runs `rows` rows of `width` values. */
async function turnsMeanwhile(engine: Engine, rows: number, width: number): Promise<number> {
  let turns = 0;
  let done = false;
  const running = engine
    .infer([floatTensor("x", [rows, width], new Float32Array(rows * width))])
    .then(() => (done = true));
  while (!done) {
    await turn();
    turns++;
  }
  await running;
  return turns;
}

/** A run on this thread takes two or three turns, however long it is. */
const manyTurns = 20;

test("where a model runs follows ownThread", async (context) => {
  const files = { "model.onnx": buildMlp({ layers: [512, 512], seed: 1 }) };
  const own = await load(context, files, "always");
  const main = await load(context, files, "never");
  const small = await load(context, files, "auto");
  assert.ok((await turnsMeanwhile(own, 2_000, 512)) > manyTurns);
  assert.ok((await turnsMeanwhile(main, 2_000, 512)) < manyTurns);
  assert.ok((await turnsMeanwhile(small, 2_000, 512)) < manyTurns);
});

test("by default a model of 8 MB runs on a thread of its own, files beside it counted", async (context) => {
  const small = buildMlp({ layers: [512, 512], seed: 1 });
  const engine = await load(
    context,
    { "model.onnx": small, "model.onnx.data": new Uint8Array(8_000_000) },
    "auto",
  );
  assert.ok((await turnsMeanwhile(engine, 2_000, 512)) > manyTurns);
});

test("calls of all sizes at once keep their order and their values", async (context) => {
  const engine = await load(context, { "model.onnx": buildTypedIdentity(["FP32", "FP32"]) }, "always");
  const runs = Array.from({ length: 40 }, async (_, run) => {
    const rows = run % 7 === 0 ? 50_000 : run + 1;
    const inputs = [0, 1].map((index) =>
      floatTensor(`x${index}`, [rows, 2], new Float32Array(2 * rows).fill(10 * run + index)),
    );
    const outputs = await engine.infer(inputs);
    // The caller's bytes are the caller's still, and each output has its own.
    for (const tensors of [inputs, outputs])
      assert.deepEqual(
        tensors.map(({ data }) => [floatValues(data).length, floatValues(data)[0], floatValues(data).at(-1)]),
        [0, 1].map((index) => [2 * rows, 10 * run + index, 10 * run + index]),
      );
    return run;
  });
  const order: number[] = [];
  for (const run of runs) void run.then((place) => order.push(place));
  await Promise.all(runs);
  await turn();
  assert.deepEqual(
    order,
    [...order].sort((one, other) => one - other),
  );
});

test("a call under way is answered before the model closes; later ones are refused", async (context) => {
  const engine = await load(context, { "model.onnx": buildMlp({ layers: [512, 512], seed: 1 }) }, "always");
  const running = engine.infer([floatTensor("x", [500, 512], new Float32Array(500 * 512))]);
  const closed = engine.close();
  await assert.rejects(engine.infer([floatTensor("x", [1, 512], new Float32Array(512))]), /disposed/);
  assert.deepEqual((await running)[0]?.shape, [500, 512]);
  await closed;
});
