/** The weight of a message is an upper bound of what decoding makes, and malformed framing ends the walk. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { inference } from "@spillway/protocol";
import { weighRpcInfer } from "./weigh-rpc-infer.ts";

const limit = 1_000_000;

function encode(fields: inference.ModelInferRequest.$Properties): Uint8Array {
  return inference.ModelInferRequest.encode(fields).finish();
}

function typed(contents: inference.InferTensorContents.$Properties): Uint8Array {
  return encode({ modelName: "m", inputs: [{ name: "x", datatype: "FP32", shape: [1], contents }] });
}

test("raw contents weigh nothing", () => {
  const message = encode({
    modelName: "m",
    inputs: [{ name: "x", shape: [1, 2] }],
    rawInputContents: [new Uint8Array(500_000)],
  });
  const { values, scatteredBytes } = weighRpcInfer(message, limit);
  assert.ok(values < 200 && scatteredBytes < 100, `${values} ${scatteredBytes}`);
});

test("typed contents weigh at least their elements, and not much more where their size is fixed", () => {
  const count = 10_000;
  const cases: readonly (readonly [inference.InferTensorContents.$Properties, number])[] = [
    [{ fp32Contents: Array(count).fill(1) }, count + 200],
    [{ fp64Contents: Array(count).fill(1) }, count + 200],
    [{ int64Contents: Array(count).fill(1n) }, count + 200],
    [{ boolContents: Array(count).fill(true) }, count + 200],
    [{ intContents: Array(count).fill(-1) }, 10 * count + 200],
    [{ bytesContents: Array(count).fill(new Uint8Array(100)) }, 8 * count + 200],
  ];
  for (const [contents, most] of cases) {
    const { values } = weighRpcInfer(typed(contents), limit);
    assert.ok(values >= count && values <= most, `${Object.keys(contents).join()}: ${values}`);
  }
});

test("the walk stops at the limit and at broken framing", () => {
  const many = Buffer.concat(Array<Uint8Array>(50_000).fill(encode({ inputs: [{}] })));
  assert.ok(weighRpcInfer(many, 1000).values < 1100);
  const whole = typed({ fp32Contents: [1, 2, 3] });
  for (let cut = 0; cut < whole.length; cut++)
    assert.ok(weighRpcInfer(whole.subarray(0, cut), limit).values < 200);
  for (const odd of [[0xff], [0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f], [0x0b], [0x2a, 0x05, 0x2a, 0x7f]])
    assert.ok(weighRpcInfer(Uint8Array.from(odd), limit).values < 50);
});
