/** The choice of a batch size, on a clock that the model advances. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { CalibrateOptions } from "./calibrate.ts";
import { calibrate } from "./calibrate.ts";

/** Calibrates a model whose time for a batch is known. */
async function calibrated(costMs: (rows: number) => number, options: Partial<CalibrateOptions> = {}) {
  let now = 0;
  const sizes: number[] = [];
  const clock = { now: () => now, sleep: () => Promise.resolve() };
  const run = (rows: number) => {
    if (!sizes.includes(rows)) sizes.push(rows);
    now += costMs(rows);
    return Promise.resolve();
  };
  const result = await calibrate({ run, clock, callOverheadMs: 0, ...options });
  return { ...result, sizes, now };
}

test("a fixed cost shared by rows makes the largest batch win", async () => {
  const { maxBatch, points, sizes } = await calibrated((rows) => 1 + 0.001 * rows);
  assert.equal(maxBatch, 64);
  assert.deepEqual(sizes, [1, 2, 4, 8, 16, 32, 64]);
  assert.equal(points.length, 7);
});

test("the smallest size near the best is taken", async () => {
  // Saturates: 8 rows reach 94.8 % of what 64 do, 16 rows 97.7 %.
  const { maxBatch } = await calibrated((rows) => 0.1 + 0.2 * rows);
  assert.equal(maxBatch, 16);
});

test("a model that loses from batching gets 1", async () => {
  const { maxBatch, reason } = await calibrated((rows) => 0.5 * rows ** 1.1);
  assert.equal(maxBatch, 1);
  assert.match(reason, /batching gains less than 15 %/);
});

test("a gain of 14 % is not worth it, one of 16 % is", async () => {
  const gaining = (gain: number) => (rows: number) => (rows === 1 ? 1 : rows / gain);
  assert.equal((await calibrated(gaining(1.14))).maxBatch, 1);
  assert.equal((await calibrated(gaining(1.16))).maxBatch, 2);
});

test("the cost of a call counts: a fast model without a gain of its own is batched", async () => {
  const cost = (rows: number) => 0.01 * rows;
  assert.equal((await calibrated(cost)).maxBatch, 1);
  assert.equal((await calibrated(cost, { callOverheadMs: 0.06 })).maxBatch, 64);
});

test("sizes that would not fit into the time are left out", async () => {
  const { sizes, now, maxBatch, reason } = await calibrated((rows) => 10 + 10 * rows, { budgetMs: 300 });
  assert.deepEqual(sizes, [1, 2, 4]);
  assert.ok(now <= 300, `${now}`);
  assert.equal(maxBatch, 4);
  assert.match(reason, /; 8 rows would not fit into the time for measuring/);
});

test("a model too slow for anything is timed once and gets 1", async () => {
  const { sizes, maxBatch } = await calibrated(() => 5_000);
  assert.deepEqual([sizes, maxBatch], [[1], 1]);
});

test("the fastest of several runs counts", async () => {
  // Every third run is undisturbed.
  let run = 0;
  const { points } = await calibrated(() => (run++ % 3 === 0 ? 0.25 : 1));
  assert.deepEqual(
    points.map((point) => point.ms),
    Array.from({ length: 7 }, () => 0.25),
  );
});

test("one disturbed run of a large size does not decide", async () => {
  const clean = (rows: number): number => 2 + 0.2 * rows;
  for (const disturbed of [8, 16, 32, 64]) {
    let runs = 0;
    // The first run of a size is not timed, the second is; there is no third in the first pass.
    const { maxBatch } = await calibrated(
      (rows) => clean(rows) * (rows === disturbed && ++runs === 2 ? 3 : 1),
    );
    assert.equal(maxBatch, 64, `${disturbed} rows disturbed`);
  }
});

test("sizes take turns again only as far as there is time", async () => {
  const { now, sizes } = await calibrated((rows) => 10 + rows, { budgetMs: 170 });
  assert.deepEqual(sizes, [1, 2, 4, 8]);
  assert.ok(now <= 170 && now > 150, `${now}`);
});

test("time that others had the processor does not count, up to four times the time for measuring", async () => {
  let now = 0;
  let cpuMs = 0;
  let waitMs = 0;
  const options: CalibrateOptions = {
    clock: { now: () => now, sleep: () => Promise.resolve() },
    cpuMs: () => cpuMs,
    callOverheadMs: 0,
    run(rows) {
      cpuMs += 1 + 0.01 * rows;
      now += 1 + 0.01 * rows + (rows >= 16 ? waitMs : 0);
      return Promise.resolve();
    },
  };
  waitMs = 60;
  assert.equal((await calibrate(options)).maxBatch, 64);
  waitMs = 600;
  const { maxBatch, tookMs } = await calibrate(options);
  assert.equal(maxBatch, 16);
  assert.ok(tookMs < 1_900, `${tookMs}`);
});

test("time of several threads counts once", async () => {
  let now = 0;
  const { points } = await calibrate({
    clock: { now: () => now, sleep: () => Promise.resolve() },
    cpuMs: () => 2 * now,
    run: (rows) => Promise.resolve(void (now += rows)),
  });
  assert.equal(points.at(-1)?.ms, 64);
});

test("rows are made before a run is timed", async () => {
  const made: number[] = [];
  const { points } = await calibrated(
    (rows) => {
      assert.equal(made.at(-1), rows);
      return rows;
    },
    { prepare: (rows) => void made.push(rows), budgetMs: 10_000 },
  );
  assert.deepEqual(
    points.map(({ ms }) => ms),
    [1, 2, 4, 8, 16, 32, 64],
  );
});

test("what the model throws comes through", async () => {
  await assert.rejects(
    calibrated(() => assert.fail("no")),
    /no/,
  );
});
