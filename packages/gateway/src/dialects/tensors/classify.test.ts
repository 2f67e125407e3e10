/** What outputs say as a class: by task, and by looks where a foreign server has none. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { floats, irisTask, testModel } from "../../../test/support/dialect-calls.ts";
import type { ServedModel } from "../../core/model.ts";
import type { Tensor } from "../../core/tensor.ts";
import { encodeTexts } from "./encode-texts.ts";
import { classifyRows, type Classification } from "./classify.ts";

const iris = testModel({ task: irisTask });
const foreign = testModel();

function classify(model: ServedModel, outputs: readonly Tensor[], rows = 1): Classification[] {
  const found = classifyRows({ model, outputs }, rows);
  assert.ok(Array.isArray(found), JSON.stringify(found));
  return found;
}

function refusal(model: ServedModel, outputs: readonly Tensor[]): string {
  const found = classifyRows({ model, outputs }, 1);
  assert.ok(!Array.isArray(found));
  return `${found.code}: ${found.message}`;
}

function ids(name: string, datatype: "INT64" | "INT32", values: readonly number[]): Tensor {
  const data = datatype === "INT64" ? BigInt64Array.from(values, BigInt) : Int32Array.from(values);
  return { name, datatype, shape: [values.length, 1], data: new Uint8Array(data.buffer) };
}

test("the highest score wins, the first at a tie, with its label and every score", () => {
  assert.deepEqual(classify(iris, [floats("y", [2, 3], [0.1, 0.7, 0.2, 0.4, 0.2, 0.4])], 2), [
    { classId: 1, confidence: 0.7, label: "versicolor", scores: [0.1, 0.7, 0.2] },
    { classId: 0, confidence: 0.4, label: "setosa", scores: [0.4, 0.2, 0.4] },
  ]);
});

test("one score is the probability of class 1", () => {
  assert.deepEqual(classify(iris, [floats("y", [2, 1], [0.75, 0.2])], 2), [
    { classId: 1, confidence: 0.75, label: "versicolor", scores: [0.75] },
    { classId: 0, confidence: 0.8, label: "setosa", scores: [0.2] },
  ]);
});

test("below its threshold a class is not claimed", () => {
  const careful = testModel({ task: { ...irisTask, thresholds: { confidence: 0.8 } } });
  const [unsure] = classify(careful, [floats("y", [1, 3], [0.1, 0.7, 0.2])]);
  assert.deepEqual([unsure?.classId, unsure?.confidence, unsure?.label], [-1, 0.7, ""]);
  assert.equal(classify(careful, [floats("y", [1, 3], [0.1, 0.8, 0.1])])[0]?.classId, 1);
});

test("scores of a model with a task are not rescaled; logits of a foreign one are", () => {
  const logits = floats("y", [1, 3], [1, 3, 2]);
  assert.equal(classify(iris, [logits])[0]?.confidence, 3);
  const [guessed] = classify(foreign, [logits]);
  assert.equal(guessed?.classId, 1);
  assert.ok(Math.abs((guessed?.confidence ?? 0) - 0.665) < 0.001);
  assert.equal(classify(foreign, [floats("y", [1, 3], [0.2, 0.7, 0.1])])[0]?.confidence, 0.7);
});

test("a class without a score, as scikit-learn servers answer, is taken at its word", () => {
  assert.deepEqual(classify(foreign, [ids("predict", "INT64", [2, 0])], 2), [
    { classId: 2, confidence: 1, label: "", scores: undefined },
    { classId: 0, confidence: 1, label: "", scores: undefined },
  ]);
  const both = [ids("predict", "INT64", [2]), floats("predict_proba", [1, 3], [0.1, 0.3, 0.6])];
  assert.deepEqual(
    classify(foreign, both).map(({ classId, confidence }) => [classId, confidence]),
    [[2, 0.6]],
  );
});

test("whole numbers in a float are classes, fractions are the probability of class 1", () => {
  assert.equal(classify(foreign, [floats("y", [1, 1], [2])])[0]?.classId, 2);
  assert.deepEqual(
    classify(foreign, [floats("y", [1, 1], [0.9])]).map(({ classId, confidence }) => [classId, confidence]),
    [[1, 0.9]],
  );
});

test("pairs, labels, counts and named classes", () => {
  const pair = [ids("class_id", "INT32", [1]), floats("confidence", [1], [0.625])];
  assert.deepEqual(classify(foreign, pair), [
    { classId: 1, confidence: 0.625, label: "", scores: undefined },
  ]);
  const label: Tensor = { name: "y", datatype: "BYTES", shape: [1], data: encodeTexts(["versicolor"]) };
  assert.deepEqual(
    classify(testModel({ task: { ...irisTask, outputs: {} } }), [label]).map((row) => [
      row.classId,
      row.label,
    ]),
    [[1, "versicolor"]],
  );
  assert.deepEqual(
    classify(foreign, [label]).map((row) => [row.classId, row.label]),
    [[-1, "versicolor"]],
  );
  const counter = testModel({ task: { ...irisTask, kind: "count", labels: [], outputs: { count: "y" } } });
  assert.equal(classify(counter, [floats("y", [1, 1], [6.8])])[0]?.classId, 7);
  const named = testModel({ task: { ...irisTask, outputs: { scores: "y", classes: "c" } } });
  const rows = classify(named, [floats("y", [1, 3], [0.1, 0.7, 0.2]), ids("c", "INT64", [2])]);
  assert.deepEqual([rows[0]?.classId, rows[0]?.confidence, rows[0]?.label], [2, 0.2, "virginica"]);
});

test("what names no class is refused", () => {
  assert.match(
    refusal(foreign, [ids("a", "INT32", [1, 2, 3, 4])]),
    /bad_request: Model "iris" answers a INT32 \[4,1\], which names no class/,
  );
  assert.match(
    refusal(iris, [floats("y", [1, 3], [Number.NaN, Number.NaN, Number.NaN])]),
    /model_failed: .*no numbers/,
  );
  assert.match(
    refusal(iris, [{ ...floats("y", [1, 3], [1, 2, 3]), data: new Uint8Array(5) }]),
    /bad_upstream_answer/,
  );
});
