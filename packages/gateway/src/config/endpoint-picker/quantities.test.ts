import assert from "node:assert/strict";
import { test } from "node:test";
import { parseQuantity } from "./quantities.ts";

test("quantities of Kubernetes", () => {
  const cases: readonly (readonly [string | number, number | undefined])[] = [
    ["10Gi", 10 * 2 ** 30],
    ["1k", 1000],
    ["500M", 5e8],
    ["1G", 1e9],
    ["1.5Ki", 1536],
    ["1e3", 1000],
    ["1E3", 1000],
    ["1E", 1e18],
    ["100m", 1],
    ["0", 0],
    ["-0", 0],
    [5000, 5000],
    [".5k", 500],
    ["-1", undefined],
    ["1K", undefined],
    ["1 Gi", undefined],
    ["Gi", undefined],
    ["", undefined],
    ["1GiB", undefined],
    ["0x10", undefined],
  ];
  for (const [text, expected] of cases) assert.equal(parseQuantity(text), expected, String(text));
});
