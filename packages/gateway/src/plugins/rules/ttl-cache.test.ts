import assert from "node:assert/strict";
import { test } from "node:test";
import { createManualClock } from "../../testing.ts";
import { TtlCache } from "./ttl-cache.ts";

test("holds values for their time, and never more than its places", () => {
  const clock = createManualClock();
  const cache = new TtlCache<number>({ clock, ttlMs: 100, capacity: 16 });
  for (let i = 0; i < 1_000; i++) cache.set(`key ${i}`, i);
  const held = Array.from({ length: 1_000 }, (_, i) => cache.get(`key ${i}`)).filter(
    (value) => value !== undefined,
  );
  assert.ok(held.length > 8 && held.length <= 16, String(held.length));
  assert.equal(cache.get("key 999"), 999);
  clock.advance(50);
  cache.set("key 999", 1);
  assert.equal(cache.get("key 999"), 1);
  clock.advance(99);
  assert.equal(cache.get("key 999"), 1);
  clock.advance(1);
  assert.equal(cache.get("key 999"), undefined);
});
