import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../../../../../bench/load/random.ts";
import { chooseThreshold } from "./choose-threshold.ts";
import { columnsOf, effectiveSize, sortPairs } from "./pairs.ts";
import { poolStrata } from "./pool-strata.ts";

test("sorts as a comparison would", () => {
  const random = seededRandom(1);
  const pairs = Array.from({ length: 5000 }, () => ({
    confidence: Math.fround(random() < 0.2 ? Math.round(random() * 4) / 4 : random() ** 8),
    agreed: random() < 0.5,
    weight: Math.floor(1 + 9 * random()),
  }));
  const expected = columnsOf(pairs.toSorted((a, b) => a.confidence - b.confidence));
  assert.deepEqual(sortPairs(pairs), { ...expected, invalid: 0 });
  assert.deepEqual(sortPairs(columnsOf(pairs)), { ...expected, invalid: 0 });
  const sorted = sortPairs(pairs);
  assert.equal(sortPairs(sorted), sorted);
});

test("both zeros are the least, one is the most", () => {
  const { confidence } = sortPairs([0.5, -0, 1, 0, 1e-30].map((at) => ({ confidence: at, agreed: true })));
  assert.deepEqual([...confidence], [-0, 0, 1e-30, 0.5, 1]);
});

test("leaves out what is no confidence and what has no weight, and counts it", () => {
  const pairs = [
    { confidence: Number.NaN, agreed: true },
    { confidence: 1.01, agreed: true },
    { confidence: 0.3, agreed: true, weight: 0 },
    { confidence: 0.2, agreed: true },
  ];
  assert.deepEqual(sortPairs(pairs), { ...columnsOf(pairs.slice(3)), invalid: 3 });
  assert.deepEqual(sortPairs([]), { ...columnsOf([]), invalid: 0 });
});

test("pairs of equal weight count one each, a heavy one hides the others", () => {
  assert.equal(effectiveSize(10 * 7, 10 * 49), 10);
  assert.ok(effectiveSize(1000 + 10, 1000 ** 2 + 10) < 1.03);
  assert.equal(effectiveSize(0, 0), 0);
});

test("what is kept of a stratum stands for all that was seen of it", () => {
  const few = columnsOf([
    { confidence: 0.4, agreed: false },
    { confidence: 0.5, agreed: true },
  ]);
  const audits = columnsOf([{ confidence: 0.95, agreed: true, weight: 20 }]);
  const pooled = poolStrata([
    { kept: few, seenWeight: 300 },
    { kept: audits, seenWeight: 20 },
  ]);
  assert.deepEqual([...pooled.weight], [150, 150, 20]);
  assert.deepEqual([...pooled.confidence], [0.4, 0.5, 0.95]);
  const choice = chooseThreshold(pooled, { wishedAgreement: 0 });
  assert.ok(choice.kind === "reached" && choice.keptPairs === 3);
  // Sums of many additions may come out a little below what is kept.
  assert.deepEqual([...poolStrata([{ kept: audits, seenWeight: 19.999 }]).weight], [20]);
  assert.equal(poolStrata([]).weight.length, 0);
});
