/** ONNX Runtime behind the engine contract, on the main thread and on one of its own: every datatype, views, errors. */
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { test } from "node:test";
import { bytesOf, encodeBytesElements } from "@spillway/protocol/tensors";
import { buildMlp } from "../../../../test/harness/onnx-build.ts";
import { buildGraph, buildTypedIdentity } from "../../test/support/onnx-graph.ts";
import { temporaryFolder } from "../../test/support/temporary.ts";
import { defaultModelConfig } from "../repository/model-config.ts";
import type { Tensor } from "../tensor.ts";
import { floatTensor, floatValues } from "../tensor.ts";
import type { Engine } from "./engine.ts";
import { loadOnnxEngine } from "./onnx.ts";
import { loadThreadedOnnxEngine } from "./threaded-onnx.ts";

type Load = (context: TestContext, bytes: Uint8Array) => Promise<Engine>;

const loaders = { "on the main thread": loadOnnxEngine, "on its own thread": loadThreadedOnnxEngine };

/** One test for each place a model may run. */
function everywhere(name: string, body: (context: TestContext, load: Load) => Promise<void>): void {
  for (const [where, loadFile] of Object.entries(loaders)) {
    const load: Load = async (context, bytes) => {
      const file = join(await temporaryFolder(context), "model.onnx");
      await writeFile(file, bytes);
      const engine = await loadFile(file, defaultModelConfig().onnx);
      context.after(() => engine.close());
      return engine;
    };
    test(`${name}, ${where}`, (context) => body(context, load));
  }
}

const samples: readonly Omit<Tensor, "name" | "shape">[] = [
  { datatype: "FP32", data: bytesOf(Float32Array.of(1.5, -2)) },
  { datatype: "FP64", data: bytesOf(Float64Array.of(1.5, -2)) },
  // 1.0 and -2.0 as half floats.
  { datatype: "FP16", data: bytesOf(Uint16Array.of(0x3c00, 0xc000)) },
  { datatype: "INT8", data: bytesOf(Int8Array.of(-128, 127)) },
  { datatype: "INT16", data: bytesOf(Int16Array.of(-32768, 32767)) },
  { datatype: "INT32", data: bytesOf(Int32Array.of(-(2 ** 31), 2 ** 31 - 1)) },
  { datatype: "INT64", data: bytesOf(BigInt64Array.of(-(2n ** 63n), 2n ** 63n - 1n)) },
  { datatype: "UINT8", data: bytesOf(Uint8Array.of(0, 255)) },
  { datatype: "UINT16", data: bytesOf(Uint16Array.of(0, 65535)) },
  { datatype: "UINT32", data: bytesOf(Uint32Array.of(0, 2 ** 32 - 1)) },
  { datatype: "UINT64", data: bytesOf(BigUint64Array.of(0n, 2n ** 64n - 1n)) },
  { datatype: "BOOL", data: Uint8Array.of(0, 1) },
  { datatype: "BYTES", data: encodeBytesElements([Buffer.from("grün"), Buffer.from("")]) },
];

everywhere("every datatype goes through unchanged, at any alignment", async (context, load) => {
  const datatypes = samples.map(({ datatype }) => datatype);
  const engine = await load(context, buildTypedIdentity(datatypes));
  assert.deepEqual(
    engine.inputs.map(({ datatype }) => datatype),
    datatypes,
  );
  for (const offset of [0, 1]) {
    const inputs = samples.map(({ datatype, data }, index): Tensor => {
      const buffer = new Uint8Array(data.length + offset);
      buffer.set(data, offset);
      return { name: `x${index}`, datatype, shape: [1, 2], data: buffer.subarray(offset) };
    });
    const outputs = await engine.infer(inputs);
    outputs.forEach((output, index) => {
      const expected = inputs[index];
      assert.deepEqual(
        [output.name, output.datatype, output.shape, Buffer.from(output.data)],
        [`y${index}`, expected?.datatype, [1, 2], Buffer.from(expected?.data ?? [])],
      );
    });
  }
});

everywhere("metadata shows free dimensions as -1 and knows whether rows are free", async (context, load) => {
  const free = await load(context, buildMlp({ layers: [4, 3], seed: 1 }));
  assert.deepEqual(free.inputs, [{ name: "x", datatype: "FP32", shape: [-1, 4] }]);
  assert.equal(free.dynamicRows, true);
  const fixed = await load(
    context,
    buildGraph({
      nodes: [{ operator: "Identity", inputs: ["x"], output: "y" }],
      inputs: [{ name: "x", datatype: "FP32", shape: [1, "W"] }],
      outputs: [{ name: "y", datatype: "FP32", shape: [1, "W"] }],
    }),
  );
  assert.deepEqual([fixed.inputs[0]?.shape, fixed.dynamicRows], [[1, -1], false]);
});

everywhere("an output that is no tensor is left out", async (context, load) => {
  const port = { datatype: "FP32", shape: ["N", 2] } as const;
  const graph = buildGraph({
    nodes: [
      { operator: "SequenceConstruct", inputs: ["x"], output: "list" },
      { operator: "Identity", inputs: ["x"], output: "y" },
    ],
    inputs: [{ name: "x", ...port }],
    outputs: [
      { name: "list", ...port, sequence: true },
      { name: "y", ...port },
    ],
  });
  const engine = await load(context, graph);
  const outputs = await engine.infer([floatTensor("x", [1, 2], Float32Array.of(1, 2))]);
  assert.deepEqual([engine.outputs.map(({ name }) => name), outputs.map(({ name }) => name)], [["y"], ["y"]]);
});

everywhere("only the requested outputs are made, in the order asked", async (context, load) => {
  const engine = await load(context, buildTypedIdentity(["FP32", "FP32"]));
  const inputs = [0, 1].map((index) => floatTensor(`x${index}`, [1, 2], Float32Array.of(index, index)));
  assert.deepEqual(
    (await engine.infer(inputs, ["y1"])).map(({ name }) => name),
    ["y1"],
  );
  assert.deepEqual(
    (await engine.infer(inputs, ["y1", "y0"])).map(({ data }) => floatValues(data)[0]),
    [1, 0],
  );
});

everywhere("a run that fails says why and leaves the model usable", async (context, load) => {
  const engine = await load(context, buildMlp({ layers: [4, 3], seed: 1 }));
  await assert.rejects(engine.infer([floatTensor("x", [1, 3], new Float32Array(3))]), /invalid dimensions/);
  const [output] = await engine.infer([floatTensor("x", [2, 4], new Float32Array(8))]);
  assert.deepEqual(output?.shape, [2, 3]);
});

everywhere("files that cannot be loaded say so", async (context, load) => {
  await assert.rejects(
    load(context, Buffer.from("not an ONNX file")),
    /the ONNX file cannot be loaded: .*protobuf/i,
  );
  await assert.rejects(
    load(context, buildMlp({ layers: [64, 64], seed: 1 }).slice(0, 5000)),
    /cannot be loaded/,
  );
  await assert.rejects(load(context, buildTypedIdentity(["BF16"])), /cannot be loaded: .*16/);
  for (const loadFile of Object.values(loaders))
    await assert.rejects(loadFile("/nowhere/model.onnx", defaultModelConfig().onnx), /is not there/);
});

everywhere("close is idempotent and ends it", async (context, load) => {
  const engine = await load(context, buildMlp({ layers: [4, 3], seed: 1 }));
  await engine.close();
  await engine.close();
  await assert.rejects(engine.infer([floatTensor("x", [1, 4], new Float32Array(4))]), /disposed/i);
});
