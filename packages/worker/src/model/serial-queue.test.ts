/** One at a time, in order, bounded, cancelled ones dropped. */
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
