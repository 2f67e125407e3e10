import assert from "node:assert/strict";
import { test } from "node:test";
import { SlotPool } from "./slot-pool.ts";

/** A slot that holds these tokens. */
function slot(name: string, ...held: number[]) {
  return {
    name,
    sharedPrefix(tokens: readonly number[]) {
      const different = tokens.findIndex((token, index) => token !== held[index]);
      return different < 0 ? tokens.length : different;
    },
  };
}

const never = new AbortController().signal;

test("a request gets the slot that shares most with it", async () => {
  const pool = new SlotPool([slot("a", 1, 2), slot("b", 1, 2, 3, 4), slot("c")]);
  assert.equal((await pool.take([1, 2, 3, 4, 5], never)).name, "b");
  assert.equal((await pool.take([1, 2, 9], never)).name, "a");
});

test("one that shares little gets the slot that has been free the longest", async () => {
  const pool = new SlotPool([slot("a"), slot("b", 1, 2, 3, 4)]);
  const first = await pool.take([1, 7, 7, 7], never);
  assert.equal(first.name, "a");
  pool.release(first);
  assert.equal((await pool.take([1, 7, 7, 7], never)).name, "b");
});

test("who waits is served in order, and who leaves is passed over", async () => {
  const pool = new SlotPool([slot("only")]);
  const held = await pool.take([1], never);
  const served: string[] = [];
  const leaving = new AbortController();
  const gone = pool.take([1], leaving.signal);
  const second = pool.take([1], never).then((given) => {
    served.push("second");
    return given;
  });
  const third = pool.take([1], never).then(() => served.push("third"));
  leaving.abort(new Error("left"));
  await assert.rejects(gone, /left/);
  pool.release(held);
  pool.release(await second);
  await third;
  assert.deepEqual(served, ["second", "third"]);
});
