/** Every datatype through every form and back: JSON, binary, raw, typed protobuf. Seeded, so that a failure repeats. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { inference } from "@spillway/protocol";
import { datatypeBytes, elementCount, encodeBytesElements, type Datatype } from "@spillway/protocol/tensors";
import { isFailure } from "../../core/errors.ts";
import type { Tensor } from "../../core/tensor.ts";
import { defaultJsonLimits } from "../json/scan-json.ts";
import { readInferBody } from "../kserve/read-infer.ts";
import { encodeTypedOutputs, hasTypedForm, packContents } from "../kserve/typed-contents.ts";
import { nestedText } from "./nest-values.ts";
import { roundedNumbers } from "./numbers.ts";
import { valuesText } from "./write-values.ts";

const datatypes = Object.keys(datatypeBytes) as Datatype[];
const shapes = [[], [1], [3], [2, 3], [1, 2, 2], [0], [2, 0], [7, 1]];

/** Bytes that repeat from run to run. */
function createBytes(seed: number): () => number {
  let state = seed;
  return () => (state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0) >>> 24;
}

/** A tensor of random bits: extremes and subnormal numbers included, NaN and infinities not. */
function randomTensor(datatype: Datatype, shape: readonly number[], byte: () => number): Tensor {
  const count = elementCount(shape);
  if (datatype === "BYTES") {
    const elements = Array.from({ length: count }, () =>
      Uint8Array.from({ length: byte() % 9 }, () => 32 + (byte() % 90)),
    );
    return { name: "x", datatype, shape, data: encodeBytesElements(elements) };
  }
  const size = datatypeBytes[datatype];
  const data = new Uint8Array(count * size);
  for (let i = 0; i < count; i++) {
    const element = data.subarray(i * size, (i + 1) * size);
    do fill(element, datatype, byte);
    while (!isFiniteElement(datatype, element));
  }
  return { name: "x", datatype, shape, data };
}

function fill(element: Uint8Array, datatype: Datatype, byte: () => number): void {
  const extreme = [0x00, 0xff, 0x80, 0x7f][byte() % 16];
  for (let i = 0; i < element.length; i++)
    element[i] = datatype === "BOOL" ? byte() & 1 : (extreme ?? byte());
}

function isFiniteElement(datatype: Datatype, data: Uint8Array): boolean {
  const value = roundedNumbers({ name: "", datatype, shape: [1], data: data.slice() })?.[0] ?? 0;
  return Number.isFinite(value);
}

/** The same tensor at an odd place of a larger buffer, as it comes out of a message. */
function displaced(tensor: Tensor): Tensor {
  const larger = new Uint8Array(tensor.data.length + 3);
  larger.set(tensor.data, 3);
  return { ...tensor, data: larger.subarray(3) };
}

function jsonRequest(tensor: Tensor, data: string): Uint8Array {
  const { name, datatype, shape } = tensor;
  return Buffer.from(
    `{"inputs":[{"name":"${name}","datatype":"${datatype}","shape":${JSON.stringify(shape)},"data":${data}}]}`,
  );
}

function readBack(body: Uint8Array, jsonLength = body.length): Tensor {
  const read = readInferBody({ body, jsonLength }, defaultJsonLimits);
  assert.ok(
    !isFailure(read),
    isFailure(read) ? `${read.message}: ${Buffer.from(body).toString().slice(0, 300)}` : "",
  );
  const tensor = read.inputs[0];
  assert.ok(tensor);
  return tensor;
}

function assertSame(actual: Tensor, expected: Tensor, form: string): void {
  assert.deepEqual(
    Buffer.from(actual.data),
    Buffer.from(expected.data),
    `${expected.datatype} [${expected.shape.join(",")}] as ${form}`,
  );
}

for (const datatype of datatypes)
  test(`${datatype} survives every form`, () => {
    for (let seed = 1; seed <= 12; seed++) {
      const byte = createBytes(seed);
      for (const shape of shapes) {
        const tensor = displaced(randomTensor(datatype, shape, byte));
        checkJson(tensor);
        checkBinary(tensor);
        checkTyped(tensor);
      }
    }
  });

function checkJson(tensor: Tensor): void {
  const text = valuesText(tensor);
  assert.ok(!isFailure(text));
  assertSame(readBack(jsonRequest(tensor, text.json)), tensor, "flat JSON");
  const nested = nestedText(tensor);
  assert.ok(typeof nested === "string");
  assertSame(readBack(jsonRequest(tensor, nested)), tensor, "nested JSON");
}

function checkBinary(tensor: Tensor): void {
  const { name, datatype, shape, data } = tensor;
  const json = Buffer.from(
    JSON.stringify({ inputs: [{ name, datatype, shape, parameters: { binary_data_size: data.length } }] }),
  );
  assertSame(readBack(Buffer.concat([json, data]), json.length), tensor, "binary");
}

function checkTyped(tensor: Tensor): void {
  assert.equal(hasTypedForm(tensor), tensor.datatype !== "FP16" && tensor.datatype !== "BF16");
  if (!hasTypedForm(tensor)) return;
  const encoded = encodeTypedOutputs([tensor]);
  assert.ok(encoded instanceof Uint8Array);
  const [output] = inference.ModelInferResponse.decode(encoded).outputs;
  const packed = packContents(tensor, output?.contents ?? {});
  assert.ok(packed instanceof Uint8Array);
  assertSame({ ...tensor, data: packed }, tensor, "typed contents");
}

test("texts of any script and bytes of any kind survive JSON", () => {
  const texts = ["", "grün", "日本", '😀\u0000"\\\n', "a".repeat(70_000)].map((text) => Buffer.from(text));
  const plain: Tensor = { name: "x", datatype: "BYTES", shape: [5], data: encodeBytesElements(texts) };
  checkJson(plain);
  const odd: Tensor = {
    ...plain,
    shape: [2],
    data: encodeBytesElements([Buffer.from([0xff, 0xfe]), Buffer.from("a")]),
  };
  const text = valuesText(odd);
  assert.ok(!isFailure(text));
  assert.equal(text.contentType, "base64");
  const body = JSON.stringify({
    inputs: [
      {
        name: "x",
        datatype: "BYTES",
        shape: [2],
        parameters: { content_type: "base64" },
        data: JSON.parse(text.json) as unknown,
      },
    ],
  });
  assertSame(readBack(Buffer.from(body)), odd, "base64");
  const wrapped = `{"inputs":[{"name":"x","datatype":"BYTES","shape":[2],"data":[{"b64":"//4="},"a"]}]}`;
  assertSame(readBack(Buffer.from(wrapped)), odd, "b64 objects");
});

test("64-bit integers keep every digit, and the sign of zero survives", () => {
  const wide = readBack(
    Buffer.from(
      '{"inputs":[{"name":"x","datatype":"INT64","shape":[3],"data":[9007199254740993,-9223372036854775808,1]}]}',
    ),
  );
  const text = valuesText(wide);
  assert.ok(!isFailure(text));
  assert.equal(text.json, "[9007199254740993,-9223372036854775808,1]");
  const zero = readBack(
    Buffer.from('{"inputs":[{"name":"x","datatype":"FP32","shape":[2],"data":[-0.0,0]}]}'),
  );
  const zeroText = valuesText(zero);
  assert.ok(!isFailure(zeroText));
  assert.equal(zeroText.json, "[-0,0]");
});

test("what JSON cannot carry is refused by name and place, not written as null", () => {
  for (const [value, shown] of [
    [Number.NaN, "NaN"],
    [Infinity, "Infinity"],
    [-Infinity, "-Infinity"],
  ] as const) {
    const data = new Uint8Array(Float32Array.of(1, value).buffer);
    const text = valuesText({ name: "y", datatype: "FP32", shape: [2], data });
    assert.ok(isFailure(text));
    assert.equal(text.code, "model_failed");
    assert.match(text.message, new RegExp(`Output "y" has ${shown} at element 1.*binary`));
  }
});
