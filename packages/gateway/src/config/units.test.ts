import assert from "node:assert/strict";
import { test } from "node:test";
import { parseDuration, parseSize } from "./units.ts";

test("durations", () => {
  const cases = {
    "0s": 0,
    "500ms": 500,
    "10s": 10_000,
    "10 s": 10_000,
    "1.5m": 90_000,
    "2h": 7_200_000,
    "1d": 86_400_000,
  };
  for (const [text, expected] of Object.entries(cases)) assert.equal(parseDuration(text), expected, text);
  for (const text of ["", "10", "s", "-1s", "1 parsec", "1S", "1e3s", " 1s", "1s ", ".5s", "1s1s"]) {
    assert.equal(parseDuration(text), undefined, text);
  }
});

test("sizes", () => {
  const cases = {
    "1B": 1,
    "64KiB": 65_536,
    "64MiB": 67_108_864,
    "64MB": 64e6,
    "1.5 GiB": 1_610_612_736,
    "2kB": 2_000,
  };
  for (const [text, expected] of Object.entries(cases)) assert.equal(parseSize(text), expected, text);
  for (const text of ["", "64", "64mb", "64M", "-1MiB", "1KIB", "MiB"])
    assert.equal(parseSize(text), undefined, text);
});
