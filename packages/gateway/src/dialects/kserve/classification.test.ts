/** The n best classes of every row: order, ties, NaN, labels, and outputs that have no classes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeBytesElements } from "@spillway/protocol/tensors";
import { floats, irisTask, testModel } from "../../../test/support/dialect-calls.ts";
import { isFailure } from "../../core/errors.ts";
import type { ServedModel } from "../../core/model.ts";
import type { Tensor } from "../../core/tensor.ts";
import { classified } from "./classification.ts";

const plain = testModel();

function texts(model: ServedModel, output: Tensor, classes: number): string[] {
  const found = classified(model, output, classes);
  assert.ok(!isFailure(found));
  return (decodeBytesElements(found.data) ?? []).map((element) => Buffer.from(element).toString());
}

function refusal(model: ServedModel, output: Tensor): string {
  const found = classified(model, output, 1);
  assert.ok(isFailure(found));
  return found.message;
}

test("best first in each row, ties in the order of the classes, NaN last", () => {
  assert.deepEqual(texts(plain, floats("y", [2, 3], [1, 3, 2, 5, 5, 4]), 2), ["3:1", "2:2", "5:0", "5:1"]);
  assert.deepEqual(texts(plain, floats("y", [1, 4], [Number.NaN, 1, Number.NaN, 2]), 4), [
    "2:3",
    "1:1",
    "NaN:0",
    "NaN:2",
  ]);
});

test("few and many are chosen alike", () => {
  const values = Array.from({ length: 200 }, (_, i) => (i * 7919) % 101);
  const all = texts(plain, floats("y", [1, 200], values), 200);
  assert.equal(all.length, 200);
  for (const count of [1, 5, 32, 33])
    assert.deepEqual(texts(plain, floats("y", [1, 200], values), count), all.slice(0, count));
});

test("labels belong to the scores, integers print as they are", () => {
  const labelled = testModel({ task: irisTask });
  assert.deepEqual(texts(labelled, floats("y", [1, 3], [0.1, 0.7, 0.2]), 1), ["0.7:1:versicolor"]);
  assert.deepEqual(texts(labelled, floats("other", [1, 3], [0.1, 0.7, 0.2]), 1), ["0.7:1"]);
  const counts: Tensor = { name: "y", datatype: "UINT8", shape: [1, 3], data: new Uint8Array([1, 200, 3]) };
  assert.deepEqual(texts(plain, counts, 1), ["200:1"]);
});

test("a model without rows has one list", () => {
  const single = testModel({ batchable: false, outputs: [{ name: "y", datatype: "FP32", shape: [3] }] });
  const found = classified(single, floats("y", [3], [1, 3, 2]), 2);
  assert.ok(!isFailure(found));
  assert.deepEqual(found.shape, [2]);
});

test("outputs without classes are refused", () => {
  const bytes: Tensor = { name: "y", datatype: "BYTES", shape: [1], data: new Uint8Array(4) };
  assert.equal(refusal(plain, bytes), 'Output "y" is BYTES: it has no classes');
  assert.match(
    refusal(plain, floats("y", [1, 100_001], Array<number>(100_001).fill(0))),
    /at most 100000 are classified/,
  );
  assert.match(refusal(plain, floats("y", [1, 0], [])), /has no classes/);
});
