import assert from "node:assert/strict";
import { test } from "node:test";
import { contentsField, fieldHead, inference, rawContents } from "./index.ts";
import {
  countBytesElements,
  datatypeBytes,
  decodeBytesElements,
  elementCount,
  encodeBytesElements,
  isDatatype,
} from "./tensors.ts";

test("BYTES contents give their elements back as views; cut anywhere they give none", () => {
  const elements = ["", "a", "ü€", "x".repeat(300)].map((text) => Buffer.from(text));
  const data = encodeBytesElements(elements);
  const back = decodeBytesElements(data);
  assert.deepEqual(
    back?.map((element) => Buffer.from(element).toString()),
    elements.map(String),
  );
  assert.ok(back?.every((element) => element.buffer === data.buffer));
  assert.equal(countBytesElements(data), 4);
  const ends = new Set([0, 4, 9, 18, data.length]);
  for (let cut = 0; cut < data.length; cut++) {
    const part = data.subarray(0, cut);
    assert.equal(decodeBytesElements(part) !== undefined, ends.has(cut), `cut at ${cut}`);
    assert.equal(countBytesElements(part) !== undefined, ends.has(cut), `cut at ${cut}`);
  }
});

test("typed contents become raw ones of the datatype's size, whatever the datatype", () => {
  const three = {
    intContents: [1, -2, 3],
    uintContents: [1, 2, 3],
    fp32Contents: [1, 2, 3],
    fp64Contents: [1, 2, 3],
  };
  const wide = {
    int64Contents: [1n, -2n, 3n],
    uint64Contents: [1n, 2n, 3n],
    boolContents: [true, false, true],
  };
  for (const [datatype, bytes] of Object.entries(datatypeBytes)) {
    assert.ok(isDatatype(datatype));
    if (contentsField[datatype] === undefined)
      assert.throws(() => rawContents(datatype, {}), /contents must be raw/);
    else if (bytes > 0)
      assert.equal(rawContents(datatype, { ...three, ...wide }).length, 3 * bytes, datatype);
  }
  assert.deepEqual([...rawContents("INT16", three)], [1, 0, 254, 255, 3, 0]);
  assert.deepEqual([...rawContents("BYTES", { bytesContents: [Buffer.from("ab")] })], [2, 0, 0, 0, 97, 98]);
  assert.equal(elementCount([]), 1);
  assert.equal(elementCount([2, 0, 3]), 0);
});

test("a field written by hand is one that the generated code reads", () => {
  for (const size of [0, 1, 127, 128, 16_383, 16_384, 3_000_000]) {
    const bytes = Buffer.concat([fieldHead(6, size), Buffer.alloc(size, 7)]);
    const { rawOutputContents } = inference.ModelInferResponse.decode(bytes);
    assert.deepEqual(
      rawOutputContents.map(({ length }) => length),
      [size],
    );
  }
});
