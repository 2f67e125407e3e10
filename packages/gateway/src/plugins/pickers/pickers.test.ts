// Whom pickers choose, and how often.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { candidatesOf, makePlugin, pickedBy } from "../../../test/support/plugin-fixture.ts";
import { plainServer } from "../../../test/support/scheduling-fixture.ts";
import type { Picker } from "../../contracts/plugins/scheduling.ts";
import { createSeededRandom } from "../../core/random.ts";

const servers = Array.from({ length: 6 }, (_, index) => plainServer(index));

function make(type: string, maxNumOfEndpoints = 1, seed = 5): Picker {
  return makePlugin<Picker>(type, { parameters: { maxNumOfEndpoints }, random: createSeededRandom(seed) });
}

/** How often each position is chosen first. */
function shares(picker: Picker, totals: readonly number[], positions: readonly number[]): number[] {
  const counts = Array.from({ length: 6 }, () => 0);
  const rounds = 20_000;
  for (let n = 0; n < rounds; n++) {
    const [first = -1] = pickedBy(picker, totals, candidatesOf(servers, positions));
    counts[first] = (counts[first] ?? 0) + 1;
  }
  return counts.map((count) => count / rounds);
}

function near(actual: readonly number[], expected: readonly number[]): void {
  for (const [index, share] of expected.entries()) {
    assert.ok(Math.abs((actual[index] ?? 0) - share) < 0.02, `${index}: ${actual[index]}, expected ${share}`);
  }
}

describe("max-score-picker", () => {
  test("chooses the highest, by position", () => {
    assert.deepEqual(pickedBy(make("max-score-picker"), [1, 3, 2], candidatesOf(servers, [1, 4, 5])), [4]);
  });

  test("gives equals the same chance", () => {
    near(shares(make("max-score-picker"), [2, 1, 2, 2], [0, 2, 3, 5]), [1 / 3, 0, 0, 1 / 3, 0, 1 / 3]);
    near(shares(make("max-score-picker", 2), [2, 1, 2, 2], [0, 2, 3, 5]), [1 / 3, 0, 0, 1 / 3, 0, 1 / 3]);
  });

  test("gives several, best first, and no more than there are", () => {
    const picker = make("max-score-picker", 3);
    assert.deepEqual(pickedBy(picker, [1, 3, 2, 0], candidatesOf(servers, [0, 1, 2, 3])), [1, 2, 0]);
    assert.deepEqual(pickedBy(picker, [0, 0.5], candidatesOf(servers, [3, 4])), [4, 3]);
  });
});

describe("random-picker", () => {
  test("gives all the same chance, whatever their scores", () => {
    near(shares(make("random-picker"), [9, 0, 1], [0, 2, 4]), [1 / 3, 0, 1 / 3, 0, 1 / 3, 0]);
  });

  test("gives several without repeats", () => {
    const picker = make("random-picker", 9);
    const picked = pickedBy(picker, [0, 0, 0, 0], candidatesOf(servers, [0, 1, 3, 5]));
    assert.deepEqual(
      picked.toSorted((a, b) => a - b),
      [0, 1, 3, 5],
    );
  });
});

describe("weighted-random-picker", () => {
  test("chooses in proportion to the scores, and never one without", () => {
    near(shares(make("weighted-random-picker"), [1, 0, 3], [0, 2, 4]), [0.25, 0, 0, 0, 0.75, 0]);
    near(shares(make("weighted-random-picker"), [1e-6, 3e-6], [1, 2]), [0, 0.25, 0.75, 0, 0, 0]);
  });

  test("chooses by chance where none has a score", () => {
    near(shares(make("weighted-random-picker"), [0, 0], [1, 3]), [0, 0.5, 0, 0.5, 0, 0]);
  });

  test("gives several, only those with a score", () => {
    const picked = pickedBy(
      make("weighted-random-picker", 3),
      [1, 0, 2, 0],
      candidatesOf(servers, [0, 1, 2, 3]),
    );
    assert.deepEqual(
      picked.toSorted((a, b) => a - b),
      [0, 2],
    );
  });
});

test("the same seed chooses the same again", () => {
  for (const type of ["max-score-picker", "random-picker", "weighted-random-picker"]) {
    const run = () => {
      const picker = make(type, 1, 77);
      return Array.from({ length: 50 }, () =>
        pickedBy(picker, [1, 1, 1, 1], candidatesOf(servers, [0, 1, 2, 3])),
      );
    };
    assert.deepEqual(run(), run(), type);
  }
});
