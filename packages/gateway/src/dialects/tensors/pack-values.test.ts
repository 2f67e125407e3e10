/** JSON values that do not fit: each refusal names the tensor, the place, the expected and the given. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Datatype } from "@spillway/protocol/tensors";
import { decodeBase64, packValues } from "./pack-values.ts";

function refusal(datatype: Datatype, shape: readonly number[], data: unknown): string {
  const packed = packValues({ name: "x", datatype, shape }, data);
  assert.ok(!(packed instanceof Uint8Array), `${datatype} took ${String(data)}`);
  assert.equal(packed.code, "invalid_tensor");
  return packed.message;
}

test("values of the wrong kind or out of range", () => {
  const cases: readonly (readonly [Datatype, unknown, RegExp])[] = [
    ["FP32", "1", /expected a number within range for FP32 at element 1, got "1"/],
    ["FP32", null, /got null/],
    ["FP32", true, /got true/],
    ["FP32", 1e39, /got 1e\+39/],
    ["FP32", Infinity, /got Infinity/],
    ["FP64", Infinity, /a number within range/],
    ["FP16", 65_520, /got 65520/],
    ["BF16", 3.4e38 * 1.01, /a number within range/],
    ["INT8", 128, /expected a whole number from -128 to 127 for INT8 at element 1, got 128/],
    ["UINT8", -1, /from 0 to 255/],
    ["INT32", 1.5, /got 1.5/],
    ["UINT32", 2 ** 32, /from 0 to 4294967295/],
    ["INT64", 2 ** 64, /from -9223372036854775808 to 9223372036854775807/],
    ["UINT64", -1n, /from 0 to 18446744073709551615/],
    ["BOOL", 2, /expected true or false/],
    ["BYTES", 5, /expected a string or \{"b64": "…"\}/],
    ["BYTES", { b64: "?" }, /expected base64/],
  ];
  for (const [datatype, value, message] of cases) {
    const good = { BOOL: true, BYTES: "a" }[datatype as string] ?? 1;
    assert.match(refusal(datatype, [2], [good, value]), message);
  }
});

test("too few, too many and badly nested values", () => {
  assert.equal(refusal("FP32", [2, 2], [1, 2, 3]), 'Input "x": shape [2,2] needs 4 values in "data", got 3');
  assert.equal(
    refusal("FP32", [2, 2], [[1, 2], [3]]),
    'Input "x": "data" is not nested like shape [2,2]: expected an array of 2 at depth 2, got an array of 1',
  );
  assert.match(
    refusal("FP32", [2, 2], [[1, 2, 3, 4]]),
    /expected an array of 2 at depth 1, got an array of 1/,
  );
  assert.match(refusal("FP32", [2, 2], [[1, 2], 3]), /at depth 2, got 3/);
  assert.match(refusal("FP32", [1, 2], [[[1], [2]]]), /got an array of 1/);
  assert.match(refusal("FP32", [2], { 0: 1, 1: 2 }), /expected an array in "data", got an object/);
  assert.match(refusal("FP32", [2], undefined), /got nothing/);
});

test("a shape of many elements costs nothing when the data is short", () => {
  assert.match(refusal("FP64", [2 ** 40], [1]), /needs 1099511627776 values/);
  assert.match(refusal("FP64", [2 ** 20, 2 ** 20], [[1]]), /expected an array of 1048576/);
});

test("base64 is decoded strictly", () => {
  assert.deepEqual(Buffer.from(decodeBase64("AQID") ?? []), Buffer.from([1, 2, 3]));
  assert.deepEqual(Buffer.from(decodeBase64("AQ==\n") ?? []), Buffer.from([1]));
  assert.deepEqual(Buffer.from(decodeBase64("-_8") ?? []), Buffer.from([0xfb, 0xff]));
  for (const text of ["A", "AQ=I", "AQI*", "A===", " AQID"])
    assert.equal(decodeBase64(text), undefined, text);
});
