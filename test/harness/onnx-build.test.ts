/** Each kind of file is run by onnxruntime: MLPs must answer as their weights say, convolutions row by row as in a batch. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { buildConvNet, buildIdentity, buildMlp, mlpWeights } from "./onnx-build.ts";

function open(bytes: Uint8Array): Promise<InferenceSession> {
  return InferenceSession.create(bytes, { intraOpNumThreads: 1, interOpNumThreads: 1 });
}

/** Rows of values that differ from each other, in ±1. */
function rows(batch: number, width: number): Float32Array {
  return Float32Array.from({ length: batch * width }, (_, i) => Math.sin(1 + i * 0.7));
}

async function run(
  session: InferenceSession,
  values: Float32Array,
  shape: readonly number[],
): Promise<Tensor> {
  const results = await session.run({ [session.inputNames[0]!]: new Tensor("float32", values, shape) });
  return results[session.outputNames[0]!]!;
}

/** The answer of an MLP for one row, calculated in doubles from the weights alone. */
function forward(layers: ReturnType<typeof mlpWeights>, row: Iterable<number>): number[] {
  return layers.reduce(
    (values, { inputs, outputs, weights, bias }, index) => {
      const sums = Array.from(bias, (start, o) => {
        let sum = start;
        for (let i = 0; i < inputs; i++) sum += values[i]! * weights[i * outputs + o]!;
        return sum;
      });
      return index < layers.length - 1 ? sums.map((value) => Math.max(0, value)) : sums;
    },
    [...row],
  );
}

function softmax(values: readonly number[]): number[] {
  const powers = values.map((value) => Math.exp(value));
  const sum = powers.reduce((a, b) => a + b);
  return powers.map((power) => power / sum);
}

function assertClose(actual: Tensor, expected: readonly number[]): void {
  const data = actual.data as Float32Array;
  assert.equal(data.length, expected.length);
  expected.forEach((value, i) =>
    assert.ok(Math.abs(data[i]! - value) < 1e-4, `value ${i}: ${data[i]} for ${value}`),
  );
}

describe("buildMlp", () => {
  const layers = [64, 32, 10];

  it("declares FP32 x [N, in] and y [N, out]", async () => {
    const session = await open(buildMlp({ layers, seed: 1 }));
    assert.deepEqual(session.inputMetadata, [
      { name: "x", isTensor: true, type: "float32", shape: ["N", 64] },
    ]);
    assert.deepEqual(session.outputMetadata, [
      { name: "y", isTensor: true, type: "float32", shape: ["N", 10] },
    ]);
  });

  for (const batch of [1, 3, 17]) {
    it(`answers ${batch} rows as its weights say`, async () => {
      const values = rows(batch, 64);
      const answer = await run(await open(buildMlp({ layers, seed: 7 })), values, [batch, 64]);
      assert.deepEqual(answer.dims, [batch, 10]);
      const weights = mlpWeights({ layers, seed: 7 });
      const expected = Array.from({ length: batch }, (_, i) =>
        forward(weights, values.subarray(i * 64, i * 64 + 64)),
      );
      assertClose(answer, expected.flat());
    });
  }

  it("takes other names and ends with a softmax when asked", async () => {
    const session = await open(
      buildMlp({ layers, seed: 7, inputName: "features", outputName: "scores", softmax: true }),
    );
    assert.deepEqual([session.inputNames, session.outputNames], [["features"], ["scores"]]);
    const values = rows(1, 64);
    assertClose(
      await run(session, values, [1, 64]),
      softmax(forward(mlpWeights({ layers, seed: 7 }), values)),
    );
  });

  it("makes a single layer", async () => {
    const values = rows(2, 3);
    const answer = await run(await open(buildMlp({ layers: [3, 2], seed: 5 })), values, [2, 3]);
    const weights = mlpWeights({ layers: [3, 2], seed: 5 });
    assertClose(answer, [
      ...forward(weights, values.subarray(0, 3)),
      ...forward(weights, values.subarray(3)),
    ]);
  });

  it("gives the same bytes for the same seed only", () => {
    const bytes = buildMlp({ layers, seed: 1 });
    assert.deepEqual(buildMlp({ layers, seed: 1 }), bytes);
    assert.notDeepEqual(buildMlp({ layers, seed: 2 }), bytes);
  });

  it("spreads the weights evenly over ±√(6/inputs)", () => {
    const [layer] = mlpWeights({ layers: [600, 500], seed: 0 });
    const weights = layer!.weights;
    const mean = weights.reduce((sum, value) => sum + value, 0) / weights.length;
    const variance = weights.reduce((sum, value) => sum + value * value, 0) / weights.length;
    assert.ok(weights.every((value) => Math.abs(value) <= 0.1));
    // Five standard errors of 300,000 values in ±0.1: 0.0005 for the mean, 0.00003 for the variance.
    assert.ok(Math.abs(mean) < 0.0005, `mean ${mean}`);
    assert.ok(Math.abs(variance - 0.01 / 3) < 0.00003, `variance ${variance}`);
  });

  it("writes 42 MB in under two seconds of CPU time", async () => {
    const wide = [2048, 2048, 2048, 1000];
    const before = process.cpuUsage();
    const bytes = buildMlp({ layers: wide, seed: 1 });
    const { user, system } = process.cpuUsage(before);
    assert.ok(user + system < 2_000_000, `${(user + system) / 1000} ms`);
    assert.ok(bytes.length > 41.7e6 && bytes.length < 42.3e6, `${bytes.length} bytes`);
    const values = rows(2, 2048);
    const session = await open(bytes);
    const answer = await run(session, values, [2, 2048]);
    const first = forward(mlpWeights({ layers: wide, seed: 1 }), values.subarray(0, 2048));
    const data = answer.data as Float32Array;
    first.forEach((value, i) =>
      assert.ok(Math.abs(data[i]! - value) < 1e-3, `value ${i}: ${data[i]} for ${value}`),
    );
    await session.release();
  });

  it("refuses what is no network", () => {
    assert.throws(() => buildMlp({ layers: [4], seed: 1 }), /at least two widths, got 1/);
    assert.throws(() => buildMlp({ layers: [4, 0], seed: 1 }), /positive integer, got 0/);
    assert.throws(() => buildMlp({ layers: [4, 2.5], seed: 1 }), /positive integer, got 2.5/);
  });
});

describe("buildIdentity", () => {
  it("gives back what it gets, for any batch", async () => {
    const session = await open(buildIdentity({ width: 5 }));
    for (const batch of [1, 4]) {
      const values = rows(batch, 5);
      const answer = await run(session, values, [batch, 5]);
      assert.deepEqual(answer.dims, [batch, 5]);
      assert.deepEqual(answer.data, values);
    }
  });

  it("takes widths whose length needs several bytes", async () => {
    const values = rows(1, 150_528);
    const answer = await run(await open(buildIdentity({ width: 150_528 })), values, [1, 150_528]);
    assert.deepEqual(answer.data, values);
  });
});

describe("buildConvNet", () => {
  const shape = { size: 9, channels: [8, 16], classes: 4, seed: 3 };

  it("declares FP32 x [N, 3, size, size] and y [N, classes]", async () => {
    const session = await open(buildConvNet(shape));
    assert.deepEqual(session.inputMetadata, [
      { name: "x", isTensor: true, type: "float32", shape: ["N", 3, 9, 9] },
    ]);
    assert.deepEqual(session.outputMetadata, [
      { name: "y", isTensor: true, type: "float32", shape: ["N", 4] },
    ]);
  });

  it("answers each picture of a batch as it answers it alone", async () => {
    const session = await open(buildConvNet(shape));
    const pixels = 3 * 9 * 9;
    const values = rows(3, pixels);
    const together = await run(session, values, [3, 3, 9, 9]);
    assert.deepEqual(together.dims, [3, 4]);
    const answers = [];
    for (let i = 0; i < 3; i++) {
      const alone = await run(session, values.slice(i * pixels, (i + 1) * pixels), [1, 3, 9, 9]);
      answers.push([...(alone.data as Float32Array)]);
    }
    assertClose(together, answers.flat());
    assert.notDeepEqual(answers[0], answers[1]);
  });

  it("sees all of the picture and every colour", async () => {
    const session = await open(buildConvNet(shape));
    const grey = new Float32Array(3 * 81).fill(0.5);
    const reference = [...((await run(session, grey, [1, 3, 9, 9])).data as Float32Array)];
    for (const pixel of [0, 80, 81, 2 * 81 + 40, 3 * 81 - 1]) {
      const changed = grey.slice();
      changed[pixel] = 5;
      const answer = await run(session, changed, [1, 3, 9, 9]);
      assert.notDeepEqual([...(answer.data as Float32Array)], reference, `pixel ${pixel}`);
    }
  });

  it("gives the same bytes for the same seed only", () => {
    assert.deepEqual(buildConvNet(shape), buildConvNet(shape));
    assert.notDeepEqual(buildConvNet({ ...shape, seed: 4 }), buildConvNet(shape));
  });

  it("refuses what is no network", () => {
    assert.throws(() => buildConvNet({ ...shape, channels: [] }), /at least one convolution/);
    assert.throws(() => buildConvNet({ ...shape, size: 0 }), /positive integer, got 0/);
  });
});
