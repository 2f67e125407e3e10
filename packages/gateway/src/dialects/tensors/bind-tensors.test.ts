/** Inputs against a model: every way to be wrong names what was expected; what fits costs no key. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { floats, testModel } from "../../../test/support/dialect-calls.ts";
import { isFailure } from "../../core/errors.ts";
import type { ServedModel } from "../../core/model.ts";
import type { BoundTensors } from "../../core/request.ts";
import type { Tensor } from "../../core/tensor.ts";
import { bindTensors, type GivenTensors } from "./bind-tensors.ts";
import { encodeTexts } from "./encode-texts.ts";
import { pictureTensor } from "./picture.ts";

const row = floats("x", [1, 4], [1, 2, 3, 4]);

function bind(
  model: ServedModel,
  inputs: readonly Tensor[],
  outputs?: GivenTensors["outputs"],
): BoundTensors {
  const bound = bindTensors(model, { inputs, outputs });
  assert.ok(!isFailure(bound), isFailure(bound) ? bound.message : "");
  return bound;
}

function refusal(model: ServedModel, inputs: readonly Tensor[], outputs?: GivenTensors["outputs"]): string {
  const bound = bindTensors(model, { inputs, outputs });
  assert.ok(isFailure(bound), "expected a refusal");
  assert.equal(bound.code, "invalid_tensor");
  return bound.message;
}

test("what fits is passed on as it is, with an empty key", () => {
  const bound = bind(testModel(), [floats("x", [2, 4], [1, 2, 3, 4, 5, 6, 7, 8])]);
  assert.deepEqual([bound.rows, bound.shapeKey, bound.outputs], [2, "", undefined]);
});

test("a missing, an extra and a repeated input are named, with what the model takes", () => {
  const two = testModel({
    inputs: [...testModel().inputs, { name: "mask", datatype: "BOOL", shape: [-1, 1] }],
  });
  assert.equal(
    refusal(two, [row]),
    'Input "mask" is missing; model "iris" takes x FP32 [-1,4], mask BOOL [-1,1]',
  );
  assert.equal(
    refusal(testModel(), [row, { ...row, name: "z" }]),
    'Input "z" is unknown or one too many; model "iris" takes x FP32 [-1,4]',
  );
  assert.equal(refusal(testModel(), [row, row]), 'Input "x" is given twice');
  assert.equal(
    refusal(testModel(), [{ ...row, name: "X" }]),
    'Input "x" is missing; model "iris" takes x FP32 [-1,4]',
  );
});

test("a wrong datatype, shape and size are told against the expected", () => {
  const wide: Tensor = { ...row, datatype: "FP64", data: new Uint8Array(32) };
  assert.equal(refusal(testModel(), [wide]), 'Input "x" has datatype FP64; model "iris" expects FP32');
  const narrow = floats("x", [1, 3], [1, 2, 3]);
  assert.equal(refusal(testModel(), [narrow]), 'Input "x" has shape [1,3]; model "iris" expects [-1,4]');
  assert.equal(
    refusal(testModel(), [{ ...row, shape: [4] }]),
    'Input "x" has shape [4]; model "iris" expects [-1,4]',
  );
  assert.equal(
    refusal(testModel(), [{ ...row, data: row.data.subarray(0, 15) }]),
    'Input "x": shape [1,4] of FP32 needs 16 bytes, got 15',
  );
  assert.equal(
    refusal(testModel(), [{ ...row, shape: [0, 4], data: new Uint8Array() }]),
    'Input "x" has shape [0,4]: no rows',
  );
});

test("BYTES contents are counted", () => {
  const texts = testModel({ inputs: [{ name: "x", datatype: "BYTES", shape: [-1] }] });
  const given: Tensor = { name: "x", datatype: "BYTES", shape: [2], data: encodeTexts(["a", "bc"]) };
  assert.equal(bind(texts, [given]).rows, 2);
  assert.equal(
    refusal(texts, [{ ...given, shape: [3] }]),
    'Input "x": shape [3] needs 3 BYTES elements, got 2',
  );
  assert.match(refusal(texts, [{ ...given, data: given.data.subarray(0, 8) }]), /lengths do not add up/);
});

test("inputs of a batchable model have the same number of rows", () => {
  const two = testModel({ inputs: [...testModel().inputs, { name: "z", datatype: "FP32", shape: [-1, 1] }] });
  assert.equal(refusal(two, [row, floats("z", [2, 1], [1, 2])]), 'Input "z" has 2 rows, "x" has 1');
});

test("inputs come in the model's order whatever the caller's", () => {
  const two = testModel({ inputs: [...testModel().inputs, { name: "z", datatype: "FP32", shape: [-1, 1] }] });
  const bound = bind(two, [floats("z", [1, 1], [1]), row]);
  assert.deepEqual(
    bound.inputs.map((input) => input.name),
    ["x", "z"],
  );
  assert.equal(bound.shapeKey, "");
});

test("requests that may not share a call differ in their key", () => {
  const free = testModel({ inputs: [{ name: "x", datatype: "FP32", shape: [-1, -1] }] });
  const four = bind(free, [row]).shapeKey;
  assert.notEqual(four, bind(free, [floats("x", [1, 3], [1, 2, 3])]).shapeKey);
  assert.equal(four, bind(free, [floats("x", [2, 4], [1, 2, 3, 4, 5, 6, 7, 8])]).shapeKey);
  const outputs = testModel({
    outputs: ["a", "b"].map((name) => ({ name, datatype: "FP32", shape: [-1, 1] })),
  });
  const keys = [undefined, ["a"], ["b"], ["b", "a"]].map((wanted) => bind(outputs, [row], wanted).shapeKey);
  assert.deepEqual(new Set(keys).size, 3);
  assert.equal(keys[0], keys[3]);
});

test("optional inputs may be left out, and which ones are given is part of the key", () => {
  const model = testModel({
    inputs: [
      { name: "x", datatype: "FP32", shape: [-1, 4], optional: true },
      { name: "prompt", datatype: "BYTES", shape: [-1], optional: true },
    ],
  });
  const prompt: Tensor = { name: "prompt", datatype: "BYTES", shape: [1], data: encodeTexts(["hi"]) };
  const keys = [[row], [prompt], [row, prompt]].map((inputs) => bind(model, inputs).shapeKey);
  assert.equal(new Set(keys).size, 3);
});

test("a picture takes the place of the tensor it becomes", () => {
  const digits = testModel({ mapping: { features: "x", prompt: undefined, image: "image" } });
  const picture = pictureTensor("image", [new Uint8Array([1]), new Uint8Array([2, 3])]);
  const bound = bind(digits, [{ ...picture, shape: [2, 1] }]);
  assert.deepEqual([bound.rows, bound.inputs[0]?.shape], [2, [2]]);
  assert.notEqual(bound.shapeKey, bind(digits, [row]).shapeKey);
  assert.match(
    refusal(digits, [picture, row]),
    /"image" is unknown or one too many.*pictures as BYTES in "image"/,
  );
  assert.match(refusal(digits, [floats("image", [1], [1])]), /pictures are BYTES \[n\]/);
});

test("an unknown output is told with the known ones", () => {
  assert.equal(
    refusal(testModel(), [row], ["probabilities"]),
    'Output "probabilities" is unknown; model "iris" answers y FP32 [-1,3]',
  );
});

test("a model that declares no inputs is sent what was given, told apart by shape", () => {
  const silent = testModel({ inputs: [], outputs: [], batchable: false });
  const key = bind(silent, [row]).shapeKey;
  assert.notEqual(key, bind(silent, [floats("x", [1, 2], [1, 2])]).shapeKey);
});

test("messages stay short whatever the caller's names are", () => {
  assert.ok(refusal(testModel(), [row, { ...row, name: "z".repeat(100_000) }]).length < 300);
});
