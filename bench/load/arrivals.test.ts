import assert from "node:assert/strict";
import { test } from "node:test";
import { createArrivals } from "./arrivals.ts";

function take(count: number, next: () => number): number[] {
  return Array.from({ length: count }, next);
}

test("uniform arrivals are evenly spaced from 0", () => {
  assert.deepEqual(
    take(4, createArrivals({ ratePerSecond: 100, kind: "uniform", seed: 1 })),
    [0, 10, 20, 30],
  );
});

test("poisson arrivals repeat for a seed, differ between seeds and never decrease", () => {
  const times = take(1000, createArrivals({ ratePerSecond: 100, kind: "poisson", seed: 1 }));
  assert.deepEqual(take(1000, createArrivals({ ratePerSecond: 100, kind: "poisson", seed: 1 })), times);
  assert.notDeepEqual(take(1000, createArrivals({ ratePerSecond: 100, kind: "poisson", seed: 2 })), times);
  assert.ok(times.every((time, index) => time >= (times[index - 1] ?? 0)));
});

test("poisson distances have the mean and the spread of an exponential distribution", () => {
  const times = take(50_000, createArrivals({ ratePerSecond: 1000, kind: "poisson", seed: 3 }));
  const distances = times.map((time, index) => time - (times[index - 1] ?? 0));
  const mean = distances.reduce((sum, value) => sum + value, 0) / distances.length;
  const variance = distances.reduce((sum, value) => sum + (value - mean) ** 2, 0) / distances.length;
  assert.ok(Math.abs(mean - 1) < 0.03, `mean ${mean} ms`);
  assert.ok(Math.abs(Math.sqrt(variance) - 1) < 0.04, `deviation ${Math.sqrt(variance)} ms`);
});
