import assert from "node:assert/strict";
import { test } from "node:test";
import { spreadOf } from "./spread.ts";
import { judgePairs, judgeRuns } from "./verdict.ts";

const quiet = spreadOf([0.98, 1, 1.03]);
const loud = spreadOf([0.7, 1, 1.1]);

test("a ratio outside the A/A spread is met or missed, inside it not resolved", () => {
  const ratio = spreadOf([0.66, 0.7, 0.75]);
  assert.equal(judgePairs("ratio", ratio, quiet, { atLeast: 0.6 }), "met");
  assert.equal(judgePairs("ratio", ratio, quiet, { atLeast: 0.8 }), "missed");
  assert.equal(judgePairs("ratio", ratio, quiet, { atLeast: 0.69 }), "not resolved");
  assert.equal(judgePairs("ratio", ratio, loud, { atLeast: 0.6 }), "not resolved");
});

test("an upper bound turns the sides round", () => {
  const ratio = spreadOf([1.05, 1.1, 1.12]);
  assert.equal(judgePairs("ratio", ratio, quiet, { atMost: 1.25 }), "met");
  assert.equal(judgePairs("ratio", ratio, quiet, { atMost: 1.02 }), "missed");
  assert.equal(judgePairs("ratio", ratio, quiet, { atMost: 1.09 }), "not resolved");
});

test("noise counts as a factor in both directions: pairs apart by 0.7 hide a ratio of 1.3 too", () => {
  assert.equal(judgePairs("ratio", spreadOf([1.3]), loud, { atMost: 1 }), "not resolved");
  assert.equal(judgePairs("ratio", spreadOf([1.5]), loud, { atMost: 1 }), "missed");
});

test("differences are held against differences", () => {
  const added = spreadOf([0.2, 0.3, 0.4]);
  const noise = spreadOf([-0.05, 0, 0.04]);
  assert.equal(judgePairs("difference", added, noise, { atMost: 0.5 }), "met");
  assert.equal(judgePairs("difference", added, noise, { atMost: 0.1 }), "missed");
  assert.equal(judgePairs("difference", added, noise, { atMost: 0.33 }), "not resolved");
});

test("runs against a number: all, none or some reach it", () => {
  const runs = spreadOf([900, 1000, 1100]);
  assert.equal(judgeRuns(runs, { atLeast: 900 }), "met");
  assert.equal(judgeRuns(runs, { atLeast: 1000 }), "not resolved");
  assert.equal(judgeRuns(runs, { atLeast: 1200 }), "missed");
  assert.equal(judgeRuns(runs, { atMost: 1100 }), "met");
  assert.equal(judgeRuns(spreadOf([0]), { atMost: 0 }), "met");
});
