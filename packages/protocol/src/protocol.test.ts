/** What the generated code promises: round trips, exact 64-bit tensors, views instead of copies, descriptors. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { fileDescriptors, inference, methods } from "./index.ts";

test("a request round-trips and its raw tensor is a view of the input", () => {
  const raw = new Uint8Array([1, 2, 3, 4]);
  const bytes = inference.ModelInferRequest.encode({
    modelName: "m",
    inputs: [{ name: "x", datatype: "FP32", shape: [1, -1, 2 ** 40], parameters: { p: { int64Param: -5 } } }],
    rawInputContents: [raw],
  }).finish();
  const back = inference.ModelInferRequest.decode(bytes);
  assert.deepEqual(back.inputs[0]?.shape, [1, -1, 2 ** 40]);
  assert.equal(back.inputs[0]?.parameters?.p?.int64Param, -5);
  assert.deepEqual([...(back.rawInputContents[0] ?? [])], [1, 2, 3, 4]);
  assert.equal(back.rawInputContents[0]?.buffer, bytes.buffer);
});

test("64-bit tensor contents keep every bit", () => {
  const int64Contents = [0n, -1n, 2n ** 63n - 1n, -(2n ** 63n), 127n, 128n, 2n ** 32n, 2n ** 28n];
  const uint64Contents = [2n ** 64n - 1n, 2n ** 53n + 1n, 0n, 2n ** 35n - 1n];
  const back = inference.InferTensorContents.decode(
    inference.InferTensorContents.encode({ int64Contents, uint64Contents }).finish(),
  );
  assert.deepEqual(back.int64Contents, int64Contents);
  assert.deepEqual(back.uint64Contents, uint64Contents);
});

test("unset 64-bit fields are the number 0 and large ones are numbers", () => {
  const empty = inference.StatisticDuration.decode(new Uint8Array());
  assert.equal(empty.ns, 0);
  const bytes = inference.StatisticDuration.encode({ count: 3, ns: Number.MAX_SAFE_INTEGER }).finish();
  const back = inference.StatisticDuration.decode(bytes);
  assert.deepEqual([back.count, back.ns], [3, Number.MAX_SAFE_INTEGER]);
});

test("truncated and lying input throws", () => {
  const bytes = inference.InferTensorContents.encode({ int64Contents: [2n ** 60n, 2n ** 60n] }).finish();
  for (let cut = 1; cut < bytes.length; cut++)
    assert.throws(() => inference.InferTensorContents.decode(bytes.subarray(0, cut)));
  assert.throws(() => inference.InferTensorContents.decode(new Uint8Array([0x1a, 0x0a, 1, 2])));
  assert.throws(() =>
    inference.InferTensorContents.decode(new Uint8Array([0x18, ...Array<number>(11).fill(255)])),
  );
});

test("descriptors name every service and method", () => {
  const paths = methods.map((method) => method.path);
  assert.ok(paths.includes("/inference.ModelInference/Predict"));
  assert.ok(paths.includes("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"));
  const stream = methods.find((method) => method.path.endsWith("/ModelStreamInfer"));
  assert.deepEqual(stream && [stream.clientStreaming, stream.serverStreaming], [true, true]);
  const symbols = fileDescriptors.flatMap((file) => file.symbols);
  assert.equal(new Set(symbols).size, symbols.length);
  for (const path of paths) assert.ok(symbols.includes(path.slice(1).replace("/", ".")), path);
});
