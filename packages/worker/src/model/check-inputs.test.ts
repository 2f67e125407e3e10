/** Every way a tensor can be wrong, and the words for it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeBytesElements } from "@spillway/protocol/tensors";
import type { Tensor, TensorSpec } from "../tensor.ts";
import { floatTensor } from "../tensor.ts";
import { checkInputs, checkOutputs } from "./check-inputs.ts";

const specs: readonly TensorSpec[] = [
  { name: "x", datatype: "FP32", shape: [-1, 4] },
  { name: "text", datatype: "BYTES", shape: [-1] },
];

const x = floatTensor("x", [1, 4], new Float32Array(4));
const text: Tensor = {
  name: "text",
  datatype: "BYTES",
  shape: [1],
  data: encodeBytesElements([Buffer.from("a")]),
};

const cases: Record<string, readonly [inputs: readonly Tensor[], problem: string | undefined]> = {
  "all right": [[x, text], undefined],
  "all right in another order": [[text, x], undefined],
  missing: [[x], 'missing input "text"; expected "x" FP32 [-1,4], "text" BYTES [-1]'],
  extra: [
    [x, text, { ...x, name: "z" }],
    'unexpected input "z"; expected "x" FP32 [-1,4], "text" BYTES [-1]',
  ],
  twice: [[x, text, x], 'input "x" is given twice'],
  datatype: [[{ ...x, datatype: "INT32" }, text], 'input "x": expected datatype FP32, got INT32'],
  size: [[{ ...x, shape: [1, 3] }, text], 'input "x": expected shape [-1,4], got [1,3]'],
  rank: [[{ ...x, shape: [4] }, text], 'input "x": expected shape [-1,4], got [4]'],
  negative: [[{ ...x, shape: [-1, 4] }, text], 'input "x": expected dimensions of at least 0, got [-1,4]'],
  fraction: [
    [{ ...x, shape: [0.25, 4] }, text],
    'input "x": expected dimensions of at least 0, got [0.25,4]',
  ],
  "too short": [
    [{ ...x, data: new Uint8Array(15) }, text],
    'input "x": expected 16 bytes for FP32 [1,4], got 15',
  ],
  huge: [
    [{ ...x, shape: [2 ** 52, 4] }, text],
    'input "x": expected 72057594037927940 bytes for FP32 [4503599627370496,4], got 16',
  ],
  elements: [[x, { ...text, shape: [2] }], 'input "text": expected 2 elements for BYTES [2], got 1'],
  lengths: [
    [x, { ...text, data: Uint8Array.of(9, 0, 0, 0, 1) }],
    'input "text": expected each BYTES element to start with its length in 4 bytes; the lengths do not add up',
  ],
};

for (const [name, [inputs, problem]] of Object.entries(cases))
  test(`inputs: ${name}`, () => assert.equal(checkInputs(inputs, specs), problem));

test("outputs: unknown and repeated names", () => {
  assert.equal(checkOutputs(["text", "x"], specs), undefined);
  assert.equal(
    checkOutputs(["y"], specs),
    'unexpected output "y"; the model has "x" FP32 [-1,4], "text" BYTES [-1]',
  );
  assert.equal(checkOutputs(["x", "x"], specs), 'output "x" is requested twice');
});
