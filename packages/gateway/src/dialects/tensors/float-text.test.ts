/** Short texts of narrow floats: they read back as the same bits, and are as short as people write them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { shortFloat, shortNarrowFloat } from "./float-text.ts";
import { roundToBfloat, roundToHalf } from "./half.ts";

/** Numerical Recipes' generator: the same bits in every run. */
function* bits(count: number): Generator<number> {
  let state = 12_345;
  for (let i = 0; i < count; i++) yield (state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0);
}

test("every 32-bit float reads back from its short text", () => {
  const word = new Uint32Array(1);
  const float = new Float32Array(word.buffer);
  const special = [
    0, 0x8000_0000, 1, 0x007f_ffff, 0x0080_0000, 0x7f7f_ffff, 0x3f80_0001, 0x4b80_0000, 0x7f80_0000,
  ];
  for (const value of [...special, ...bits(300_000)]) {
    word[0] = value;
    const exact = float[0] ?? 0;
    if (Number.isNaN(exact)) continue;
    const text = String(shortFloat(exact));
    assert.ok(Math.fround(Number(text)) === exact, `${exact} became ${text}`);
    assert.ok(text.length <= String(exact).length, `${exact} became longer: ${text}`);
  }
});

test("decimals that people write come back as written", () => {
  for (const value of [
    0.1, 0.2, 5.1, 3.14159, -0.97, 1e-7, 123_456.7, 0.000_012_3, 1e30, 1.5e-30, 16_777_216,
  ])
    assert.equal(shortFloat(Math.fround(value)), value);
});

test("every 16-bit float reads back from its short text", () => {
  for (let i = 0; i < 0x1_0000; i++) {
    const word = new DataView(new ArrayBuffer(4));
    word.setUint16(0, i);
    const bfloat = word.getFloat32(0);
    if (!Number.isNaN(bfloat))
      assert.ok(roundToBfloat(shortNarrowFloat(bfloat, "BF16")) === bfloat, `bfloat ${i}`);
    const half = roundToHalf((i - 0x8000) / 7);
    assert.ok(roundToHalf(shortNarrowFloat(half, "FP16")) === half, `half ${half}`);
  }
  assert.equal(shortNarrowFloat(roundToHalf(0.1), "FP16"), 0.1);
  assert.equal(shortNarrowFloat(roundToBfloat(0.1), "BF16"), 0.1);
});
