import assert from "node:assert/strict";
import { test } from "node:test";
import { Refusal } from "../refusal.ts";
import { readKeepAlive } from "./keep-alive.ts";

test("keep_alive is read as Ollama writes it", () => {
  const cases: [unknown, number | undefined][] = [
    [undefined, undefined],
    [null, undefined],
    [0, 0],
    ["0", 0],
    [30, 30_000],
    ["5m", 300_000],
    ["1h30m", 5_400_000],
    ["250ms", 250],
    ["1.5s", 1_500],
    [-1, Infinity],
    ["-1m", Infinity],
  ];
  for (const [value, ms] of cases) assert.equal(readKeepAlive(value), ms, String(value));
  for (const value of ["", "soon", "5 m", true, {}, "m"]) assert.throws(() => readKeepAlive(value), Refusal);
});
