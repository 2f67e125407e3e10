/** What a model's tensors are taken to mean when model.yaml says little, and when it says something wrong. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ModelConfig } from "../repository/model-config.ts";
import { defaultModelConfig } from "../repository/model-config.ts";
import type { TensorSpec } from "../tensor.ts";
import { resolveTask } from "./task.ts";

const numbers: TensorSpec = { name: "x", datatype: "FP32", shape: [-1, 4] };
const text: TensorSpec = { name: "t", datatype: "BYTES", shape: [-1] };

function resolve(
  change: Partial<ModelConfig>,
  inputs: readonly TensorSpec[],
  outputs: readonly TensorSpec[],
) {
  return resolveTask({ ...defaultModelConfig(), ...change }, { inputs, outputs });
}

test("without a task nothing is claimed of the outputs", () => {
  const { task, outputs, input } = resolve({}, [numbers], [numbers]);
  assert.deepEqual([task, outputs, input], [null, {}, { features: "x" }]);
});

test("the only tensor takes the only role", () => {
  assert.deepEqual(resolve({ task: "classify" }, [text], [numbers]).outputs, { scores: "x" });
  assert.deepEqual(resolve({ task: "count" }, [text], [numbers]).outputs, { count: "x" });
  assert.deepEqual(resolve({ task: "text" }, [text], [text]).outputs, { text: "t" });
  assert.deepEqual(resolve({ task: "text" }, [text], [numbers]).outputs, { scores: "x" });
  assert.deepEqual(resolve({ task: "detect" }, [text], [numbers]).outputs, {});
  assert.deepEqual(resolve({ task: "classify" }, [text], [numbers, text]).outputs, {});
  assert.deepEqual(resolve({}, [text], [numbers]).input, { prompt: "t" });
  assert.deepEqual(resolve({}, [text, numbers], [numbers]).input, {});
});

test("names in model.yaml win and must exist", () => {
  const both = [text, numbers];
  assert.deepEqual(resolve({ input: { features: "x", prompt: "t" } }, both, both).input, {
    features: "x",
    prompt: "t",
  });
  assert.throws(
    () => resolve({ outputs: { scores: "probs" } }, both, both),
    /^Error: outputs\.scores: the model has no output "probs"; it has t, x$/,
  );
  assert.throws(
    () => resolve({ input: { features: "y" } }, both, both),
    /input\.features: the model has no input "y"/,
  );
  assert.throws(
    () => resolve({ input: { features: "t" } }, both, both),
    /"t" is BYTES; expected a tensor of numbers/,
  );
  assert.throws(
    () => resolve({ input: { prompt: "x" } }, both, both),
    /"x" takes numbers; expected a BYTES tensor/,
  );
});
