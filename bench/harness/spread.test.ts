import assert from "node:assert/strict";
import { test } from "node:test";
import { spreadOf } from "./spread.ts";

test("quartiles of odd and even counts, in any order", () => {
  assert.deepEqual(spreadOf([5, 1, 3, 2, 4]), { min: 1, q1: 2, median: 3, q3: 4, max: 5 });
  assert.deepEqual(spreadOf([4, 1]), { min: 1, q1: 1.75, median: 2.5, q3: 3.25, max: 4 });
  assert.deepEqual(spreadOf([7]), { min: 7, q1: 7, median: 7, q3: 7, max: 7 });
  assert.throws(() => spreadOf([]), RangeError);
});
