import assert from "node:assert/strict";
import { test } from "node:test";
import { RecentQuantile } from "./recent-quantile.ts";
import { RetryBudget } from "./retry-budget.ts";
import { SlidingCount } from "./sliding-count.ts";

test("a budget is a share of the requests of the last ten seconds, and a few a second", () => {
  const budget = new RetryBudget({ share: 0.2, minPerSecond: 1 });
  assert.equal(budget.available(0), 10);
  for (let request = 0; request < 100; request++) budget.request(500);
  assert.equal(budget.available(1_000), 30);
  for (let draw = 0; draw < 30; draw++) assert.equal(budget.draw(1_500), true);
  assert.equal(budget.draw(1_500), false);
  // The requests pass out of the window with what was drawn on them.
  assert.equal(budget.available(9_900), 0);
  assert.equal(budget.available(60_000), 10);
});

test("a sliding count forgets slot by slot", () => {
  const count = new SlidingCount(1_000);
  for (let at = 0; at < 1_000; at += 10) count.add(at);
  assert.equal(count.sum(999), 100);
  assert.equal(count.sum(1_450), 50);
  assert.equal(count.sum(3_000), 0);
});

test("a quantile says nothing before it knows enough, and follows the last values", () => {
  const times = new RecentQuantile(0.95);
  for (let value = 1; value < 20; value++) times.add(value);
  assert.equal(times.value, undefined);
  times.add(20);
  assert.equal(times.value, 20);
  for (let turn = 0; turn < 300; turn++) times.add(turn % 100);
  assert.ok(Math.abs((times.value ?? 0) - 95) <= 2);
});
