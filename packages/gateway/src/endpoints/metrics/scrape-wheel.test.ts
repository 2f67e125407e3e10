import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createManualClock } from "../../testing.ts";
import { ScrapeWheel } from "./scrape-wheel.ts";

/** Turns by name, with when they came. */
function recorder() {
  const turns: [name: string, at: number][] = [];
  return { turns, named: (name: string) => ({ turn: (now: number) => void turns.push([name, now]) }) };
}

describe("turns", () => {
  test("each at its own interval, as long as it is on the wheel", () => {
    const clock = createManualClock();
    const wheel = new ScrapeWheel(clock);
    const { turns, named } = recorder();
    const takeOff = wheel.add(named("a"), 100);
    wheel.add(named("b"), 2_000);
    clock.advance(10_000);
    const times = (name: string): number[] => turns.filter(([who]) => who === name).map(([, at]) => at);
    assert.equal(times("a").length, 100);
    assert.ok(times("a").every((at, index, all) => index === 0 || at - (all[index - 1] ?? 0) === 100));
    assert.equal(times("b").length, 5);
    takeOff();
    takeOff();
    clock.advance(10_000);
    assert.equal(times("a").length, 100);
    assert.equal(times("b").length, 10);
  });

  test("a hundred at 100 ms are spread evenly: five at a time", () => {
    const clock = createManualClock();
    const wheel = new ScrapeWheel(clock);
    const { turns, named } = recorder();
    for (let index = 0; index < 100; index++) wheel.add(named(`${index}`), 100);
    clock.advance(1_000);
    const byTime = Map.groupBy(turns, ([, at]) => at);
    assert.equal(turns.length, 1_000);
    assert.ok([...byTime.values()].every((those) => those.length === 5));
  });

  test("a busy process does not make up for what it missed", () => {
    const clock = createManualClock();
    let isBusy = false;
    let offset = 0;
    const wheel = new ScrapeWheel({ ...clock, now: () => clock.now() + offset });
    const { turns, named } = recorder();
    wheel.add(named("a"), 50);
    wheel.add(
      {
        turn: () => {
          if (isBusy) offset += 3_000;
          isBusy = false;
        },
      },
      50,
    );
    clock.advance(1_000);
    const before = turns.length;
    isBusy = true;
    clock.advance(100);
    assert.ok(turns.length - before <= 4, `${turns.length - before} turns`);
    clock.advance(1_000);
    assert.ok(turns.length - before >= 18, `${turns.length - before} turns`);
  });

  test("nothing on it, no timer; one that takes itself or another off in its turn", () => {
    const clock = createManualClock();
    const wheel = new ScrapeWheel(clock);
    const { turns, named } = recorder();
    const offs: (() => void)[] = [];
    offs.push(wheel.add({ turn: () => offs.forEach((off) => off()) }, 5), wheel.add(named("b"), 5));
    clock.advance(100);
    assert.ok(turns.length <= 1);
    assert.equal(clock.dueInMs(), undefined);
    wheel.add(named("c"), 100);
    clock.advance(100);
    assert.equal(turns.filter(([who]) => who === "c").length, 1);
  });
});
