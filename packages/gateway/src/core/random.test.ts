// Names of requests: alike in form, never the same.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createSystemRandom } from "./random.ts";

test("ids are 20 digits of lower-case hex and count on, over every carry", () => {
  const random = createSystemRandom();
  const first = random.id();
  const counted = (id: string): number => Number.parseInt(id.slice(10), 16);
  let last = counted(first);
  // More than twice the ids after which the upper digits change.
  for (let i = 0; i < 150_000; i++) {
    const id = random.id();
    if (!/^[0-9a-f]{20}$/.test(id)) assert.fail(id);
    assert.equal(id.slice(0, 10), first.slice(0, 10));
    assert.equal(counted(id), last + 1);
    last++;
  }
  assert.notEqual(createSystemRandom().id().slice(0, 10), first.slice(0, 10));
});
