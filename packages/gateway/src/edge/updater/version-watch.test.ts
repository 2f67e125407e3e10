/** When a new version is given up: with numbers, not by chance, and not for escalating fewer and harder pictures. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  faultOf,
  minValues,
  SlidingMean,
  VersionWatch,
  windowSize,
  type VersionSummary,
} from "./version-watch.ts";

/** Uniform in [0, 1), the same for the same seed (mulberry32). */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

interface Behaviour {
  readonly answers?: number;
  /** Share of pictures it fails on. */
  readonly fails?: number;
  /** Share of answers that are right, and what it says of them. */
  readonly right?: number;
  readonly says?: number;
  readonly isCheck?: boolean;
}

/** Gives the first fault on the way and the summary at the end. */
function run(seed: number, behaviour: Behaviour, before?: VersionSummary) {
  const { answers = 400, fails = 0, right = 0.9, says = 0.9, isCheck = false } = behaviour;
  const random = randomOf(seed);
  const watch = new VersionWatch();
  let fault: string | undefined;
  for (let index = 0; index < answers; index++) {
    watch.asked(random() < fails);
    watch.compared(random() < right, says, isCheck);
    fault ??= faultOf(watch.summary, before);
  }
  return { fault, summary: watch.summary };
}

describe("the window", () => {
  it("forgets what is older than its size", () => {
    const mean = new SlidingMean(4);
    for (const value of [9, 9, 1, 2, 3, 4]) mean.add(value);
    assert.deepEqual(mean.summary, { count: 4, mean: 2.5, variance: 5 / 3 });
    assert.deepEqual(new SlidingMean(4).summary, { count: 0, mean: 0, variance: 0 });
  });
});

describe("a version that does as the one before", () => {
  for (const isCheck of [false, true])
    it(`stays${isCheck ? ", by audits" : ", by escalations"}`, () => {
      let faults = 0;
      for (let seed = 1; seed <= 200; seed++) {
        const before = run(seed + 10_000, { fails: 0.01, isCheck }).summary;
        if (run(seed, { fails: 0.01, isCheck }, before).fault !== undefined) faults++;
      }
      assert.ok(faults <= 4, `${faults} of 200 were given up by chance`);
    });

  it("stays without anything known of the one before, and with few values", () => {
    assert.equal(run(1, { isCheck: true }).fault, undefined);
    assert.equal(run(1, { answers: minValues - 1, fails: 1, right: 0 }).fault, undefined);
  });

  it("stays when it escalates harder pictures, of which it says that it is unsure", () => {
    const before = run(1, { right: 0.8, says: 0.8 }).summary;
    assert.equal(run(2, { right: 0.45, says: 0.5 }, before).fault, undefined);
  });
});

describe("a version that does worse", () => {
  const before = run(1, { isCheck: true }).summary;
  const cases: readonly [name: string, behaviour: Behaviour, fault: RegExp][] = [
    ["fails", { fails: 0.4 }, /^it fails on \d+ % of the last \d+ pictures \(before: 0 %\)$/],
    [
      "is sure and wrong, by audits",
      { right: 0.5, says: 0.5, isCheck: true },
      /^audits agree with \d+ % of its last \d+ sure answers \(before: \d+ % of 200\)$/,
    ],
    [
      "says more than it keeps, by escalations",
      { right: 0.3, says: 0.8 },
      /more are wrong than its confidence says/,
    ],
  ];
  for (const [name, behaviour, fault] of cases)
    it(`${name}: is given up within a window, every time`, () => {
      for (let seed = 1; seed <= 50; seed++) {
        const found = run(seed, { answers: windowSize, ...behaviour }, before);
        assert.match(found.fault ?? "", fault);
      }
    });
});
