// Requests begin in portions, in order, and none is forgotten.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { createManualClock } from "../../testing.ts";
import { StartPacer } from "./start-pacer.ts";

function setUp() {
  const clock = createManualClock();
  const begun: number[] = [];
  const pacer = new StartPacer(clock);
  /** Takes so long to begin. */
  const ask = (name: number, costMs: number): void =>
    pacer.begin({
      start() {
        begun.push(name);
        clock.advance(costMs);
      },
    });
  return { begun, ask, pacer };
}

test("few begin at once", () => {
  const { begun, ask } = setUp();
  for (let name = 0; name < 20; name++) ask(name, 0.1);
  assert.equal(begun.length, 20);
});

test("many begin over several turns, in order, also those that come meanwhile", async () => {
  const { begun, ask } = setUp();
  for (let name = 0; name < 10; name++) ask(name, 1.5);
  assert.deepEqual(begun, [0, 1]);
  await turn();
  assert.deepEqual(begun, [0, 1, 2, 3]);
  ask(10, 1.5);
  assert.equal(begun.length, 4);
  for (let turns = 0; turns < 4; turns++) await turn();
  assert.deepEqual(
    begun,
    Array.from({ length: 11 }, (_, name) => name),
  );
  await turn();
  ask(11, 0);
  assert.equal(begun.at(-1), 11);
});

test("streams that run leave less time, and give it back when they have ended", async () => {
  const { begun, ask, pacer } = setUp();
  for (let stream = 0; stream < 1_000; stream++) pacer.streamBegan();
  for (let name = 0; name < 12; name++) ask(name, 0.09);
  assert.equal(begun.length, 2);
  await turn();
  assert.equal(begun.length, 4);
  for (let stream = 0; stream < 1_000; stream++) pacer.streamEnded();
  await turn();
  assert.equal(begun.length, 12);
});

test("one that begins another lets those that wait go first", async () => {
  const { begun, ask, pacer } = setUp();
  ask(0, 3);
  pacer.begin({ start: () => ask(2, 0) });
  ask(1, 0);
  for (let turns = 0; turns < 3; turns++) await turn();
  assert.deepEqual(begun, [0, 1, 2]);
});
