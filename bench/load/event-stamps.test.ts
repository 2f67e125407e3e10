import assert from "node:assert/strict";
import { test } from "node:test";
import { EventStamps, monotonicUs, stampText } from "./event-stamps.ts";

const frame = (us: number): string => `data: {"choices":[{"delta":{"content":"${stampText(us)} word"}}]}\n\n`;

test("every stamp is found, wherever the bytes are split", () => {
  const bytes = Buffer.from(
    `data: {"content":"","c":1}\n\n${frame(1234)}${frame(987_654_321)}data: [DONE]\n\n`,
  );
  for (let split = 0; split <= bytes.length; split += 1) {
    const stamps = new EventStamps();
    const found: number[] = [];
    stamps.read(bytes, 0, split, (us) => found.push(us));
    stamps.read(bytes, split, bytes.length, (us) => found.push(us));
    assert.deepEqual(found, [1234, 987_654_321], `split at ${split}`);
  }
});

test("what stands behind the piece in a reused buffer is not read", () => {
  const bytes = Buffer.from(frame(5) + frame(6));
  const found: number[] = [];
  new EventStamps().read(bytes, 0, frame(5).length, (us) => found.push(us));
  assert.deepEqual(found, [5]);
});

test("the clock goes forward", () => {
  const before = monotonicUs();
  assert.ok(monotonicUs() >= before && before > 0);
});
