import assert from "node:assert/strict";
import { test } from "node:test";
import { parseGoDuration } from "./go-duration.ts";

test("durations as Go reads them", () => {
  const cases: readonly (readonly [string, number | undefined])[] = [
    ["0", 0],
    ["300ms", 300],
    ["1.5s", 1_500],
    [".5s", 500],
    ["1h15m30.5s", 4_530_500],
    ["2us", 0.002],
    ["2µs", 0.002],
    ["-3s", -3_000],
    ["+3s", 3_000],
    ["", undefined],
    ["5", undefined],
    ["s", undefined],
    ["1 s", undefined],
    ["1s ", undefined],
    ["1d", undefined],
    ["1s2", undefined],
    ["1".repeat(70) + "s", undefined],
  ];
  for (const [text, ms] of cases) assert.equal(parseGoDuration(text), ms, text);
});
