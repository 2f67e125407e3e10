import assert from "node:assert/strict";
import { test } from "node:test";
import { comparePairs, orderOf, runPairs, runsOf } from "./pairs.ts";
import type { Side } from "./pairs.ts";

test("over six rounds every side stands in every place twice", () => {
  for (const place of [0, 1, 2]) {
    const sides = Array.from({ length: 6 }, (_, round) => orderOf(round)[place]);
    for (const side of ["ours", "reference", "again"]) {
      assert.equal(sides.filter((one) => one === side).length, 2, `${side} in place ${place}`);
    }
  }
});

test("runs follow the order of each round, one at a time", async () => {
  const log: string[] = [];
  let running = 0;
  const run = (name: string) => async (): Promise<string> => {
    running += 1;
    assert.equal(running, 1);
    await new Promise(setImmediate);
    running -= 1;
    return name;
  };
  await runPairs({
    pairs: 7,
    ours: run("ours"),
    reference: run("theirs"),
    onRun: (name, { round, side }) => log.push(`${round} ${side} ${name}`),
  });
  const expected = Array.from({ length: 7 }, (_, round) =>
    orderOf(round).map((side: Side) => `${round + 1} ${side} ${side === "ours" ? "ours" : "theirs"}`),
  );
  assert.deepEqual(log, expected.flat());
});

test("pairs are compared within their round, and the reference with itself", () => {
  const rounds = [
    { ours: 6, reference: 10, again: 11 },
    { ours: 14, reference: 20, again: 19 },
    { ours: 4, reference: 5, again: 5 },
  ];
  const ratio = comparePairs(rounds, "ratio", (value) => value);
  assert.deepEqual([ratio.compared.min, ratio.compared.median, ratio.compared.max], [0.6, 0.7, 0.8]);
  assert.deepEqual([ratio.noise.min, ratio.noise.median, ratio.noise.max], [0.95, 1, 1.1]);
  const difference = comparePairs(rounds, "difference", (value) => value);
  assert.deepEqual([difference.compared.min, difference.compared.max], [-6, -1]);
  assert.deepEqual(runsOf(rounds, "reference"), [10, 11, 20, 19, 5, 5]);
});

test("a run that fails ends the comparison", async () => {
  const failing = runPairs({
    pairs: 7,
    ours: () => Promise.reject(new Error("no")),
    reference: () => Promise.resolve(1),
  });
  await assert.rejects(failing, /no/);
});
