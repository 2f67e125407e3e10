import assert from "node:assert/strict";
import { test } from "node:test";
import { LatencyHistogram } from "./histogram.ts";
import { seededRandom } from "./random.ts";

test("percentiles of values from 1 µs to 100 s are within 0.5 % of the exact ones", () => {
  const random = seededRandom(7);
  const values = Array.from({ length: 20_000 }, () => 10 ** (random() * 8 - 3));
  const histogram = new LatencyHistogram();
  for (const value of values) histogram.record(value);
  values.sort((a, b) => a - b);
  for (const fraction of [0.01, 0.5, 0.9, 0.99, 0.999]) {
    const exact = values[Math.ceil(fraction * values.length) - 1]!;
    const measured = histogram.percentileMs(fraction);
    const tolerance = exact * 0.005 + 0.0001;
    assert.ok(Math.abs(measured - exact) <= tolerance, `p${fraction * 100}: ${measured} for ${exact}`);
  }
});

test("minimum, maximum, mean and count are exact", () => {
  const histogram = new LatencyHistogram();
  for (const value of [3, 1, 8]) histogram.record(value);
  const { count, minMs, maxMs, meanMs } = histogram.summary();
  assert.deepEqual({ count, minMs, maxMs, meanMs }, { count: 3, minMs: 1, maxMs: 8, meanMs: 4 });
});

test("an empty histogram says 0", () => {
  const summary = new LatencyHistogram().summary();
  assert.deepEqual(new Set(Object.values(summary)), new Set([0]));
});

test("a percentile never leaves the recorded range, and times beyond it keep their maximum", () => {
  const histogram = new LatencyHistogram();
  histogram.record(-1);
  histogram.record(1_000_000);
  assert.equal(histogram.percentileMs(0.5), 0);
  assert.equal(histogram.percentileMs(1), 1_000_000);
});
