// Ids against the published KSUID test vector, and their order.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createManualClock } from "../testing.ts";
import { createQueryIds } from "./query-ids.ts";

const random = (unit: () => number) => ({ unit, id: () => "" });

test("a published KSUID: 0669F7EF B5A1CD34 B5F99D11 54FB6853 345C9735 (segmentio/ksuid)", () => {
  const words = [0xa1_cd_34_00, 0xb5_f9_9d_11, 0x54_fb_68_53, 0x34_5c_97_35];
  const wall = (1_400_000_000 + 0x06_69_f7_ef) * 1_000 + 0xb5 * 4;
  const clock = { ...createManualClock(), wallNow: () => wall };
  const next = createQueryIds({ clock, random: random(() => (words.shift() ?? 0) / 2 ** 32) });
  assert.equal(next(), "iq_0ujtsYcgvSTl8PAuAdqWYSMnLOv");
});

test("later ids sort behind earlier ones, from 4 ms on", () => {
  const clock = createManualClock();
  let seed = 7;
  const next = createQueryIds({
    clock,
    random: random(() => (seed = (seed * 16_807) % 2_147_483_647) / 2_147_483_647),
  });
  let before = next();
  for (let i = 0; i < 2_000; i++) {
    clock.advance(4);
    const id = next();
    assert.ok(id > before, `${before} then ${id}`);
    before = id;
  }
});

test("two of one moment differ", () => {
  const clock = createManualClock();
  const next = createQueryIds({ clock, random: random(Math.random) });
  assert.equal(new Set(Array.from({ length: 10_000 }, next)).size, 10_000);
});
