/** Rows that may share a call, and rows that must not. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Engine } from "../engines/engine.ts";
import type { Tensor } from "../tensor.ts";
import { floatTensor, floatValues } from "../tensor.ts";
import { checkRows } from "./row-check.ts";

/** An engine over rows of two floats. */
function engineOf(infer: (rows: number, values: Float32Array) => Tensor): Engine {
  const spec = { name: "x", datatype: "FP32", shape: [-1, 2] } as const;
  return {
    kind: "mock",
    platform: "test",
    inputs: [spec],
    outputs: [{ ...spec, name: "y" }],
    dynamicRows: true,
    infer: ([input]) =>
      Promise.resolve([infer(input?.shape[0] ?? 0, floatValues(input?.data ?? new Uint8Array()))]),
    close: () => Promise.resolve(),
  };
}

test("a model that treats each row alone passes", async () => {
  const doubled = engineOf((rows, values) =>
    floatTensor(
      "y",
      [rows, 2],
      values.map((value) => value * 2),
    ),
  );
  assert.equal(await checkRows(doubled), undefined);
});

test("answers that differ by rounding pass, NaN for NaN too", async () => {
  const noisy = engineOf((rows, values) =>
    floatTensor(
      "y",
      [rows, 2],
      values.map((value, index) => (index % 2 ? NaN : value * (1 + rows * 1e-6))),
    ),
  );
  assert.equal(await checkRows(noisy), undefined);
});

test("a model that normalises over the batch is caught", async () => {
  const mixed = engineOf((rows, values) => {
    const mean = values.reduce((a, b) => a + b) / values.length;
    return floatTensor(
      "y",
      [rows, 2],
      values.map((value) => value - mean),
    );
  });
  assert.equal(await checkRows(mixed), `the rows of one call change each other's "y"`);
});

test("a first dimension that counts something else is caught", async () => {
  const found = engineOf(() => floatTensor("y", [5, 2], new Float32Array(10)));
  assert.match((await checkRows(found)) ?? "", /output "y" of two rows has the shape \[5,2\]/);
});
