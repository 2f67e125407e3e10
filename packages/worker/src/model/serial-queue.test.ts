/** In order, one or a few at a time, bounded, cancelled ones dropped. */
import assert from "node:assert/strict";
import { setImmediate as nextTurn } from "node:timers/promises";
import { test } from "node:test";
import { SerialQueue } from "./serial-queue.ts";

test("jobs run one after another in order", async () => {
  const queue = new SerialQueue(1_000);
  const events: string[] = [];
  for (let index = 0; index < 200; index++) {
    const run = async () => {
      events.push(`start ${index}`);
      await nextTurn();
      events.push(`end ${index}`);
    };
    queue.push({ run, isCancelled: () => false });
  }
  await queue.idle();
  assert.deepEqual(
    events,
    Array.from({ length: 200 }, (_, index) => [`start ${index}`, `end ${index}`]).flat(),
  );
  assert.equal(queue.waiting, 0);
});

test("a cancelled job is dropped when its turn comes, a full line refuses", async () => {
  const queue = new SerialQueue(2);
  const ran: string[] = [];
  const job = (name: string, cancelled = false) => ({
    run: async () => {
      ran.push(name);
      await nextTurn();
    },
    isCancelled: () => cancelled,
  });
  for (const each of [job("a"), job("b", true), job("c")]) queue.push(each);
  assert.equal(queue.full, true);
  assert.throws(() => queue.push(job("d")), RangeError);
  await queue.idle();
  assert.deepEqual(ran, ["a", "c"]);
  queue.push(job("e"));
  await queue.idle();
  assert.deepEqual(ran, ["a", "c", "e"]);
});

test("a wider line runs that many at once, begins them in order and is idle after the last", async () => {
  const queue = new SerialQueue(1_000, 2);
  const events: string[] = [];
  const ends: (() => void)[] = [];
  for (const name of ["a", "b", "c", "d"]) {
    const run = async () => {
      events.push(`start ${name}`);
      await new Promise<void>((resolve) => ends.push(resolve));
      events.push(`end ${name}`);
    };
    queue.push({ run, isCancelled: () => false });
  }
  let idle = false;
  const whenIdle = queue.idle().then(() => (idle = true));
  assert.deepEqual([events, queue.waiting], [["start a", "start b"], 2]);
  ends[1]?.();
  await nextTurn();
  assert.deepEqual(events.slice(2), ["end b", "start c"]);
  ends[0]?.();
  await nextTurn();
  assert.deepEqual(events.slice(4), ["end a", "start d"]);
  ends[3]?.();
  await nextTurn();
  assert.equal(idle, false);
  ends[2]?.();
  await whenIdle;
});
