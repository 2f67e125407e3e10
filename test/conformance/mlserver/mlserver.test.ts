/** What MLServer sent, byte for byte, is what a pool gets here: its index, metadata, answers and refusals. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { test, type TestContext } from "node:test";
import { inference } from "@spillway/protocol";
import { isFailure } from "../../../packages/gateway/src/core/errors.ts";
import type { Tensor } from "../../../packages/gateway/src/core/tensor.ts";
import { classifyRows } from "../../../packages/gateway/src/dialects/tensors/classify.ts";
import { decodeInferResponse } from "../../../packages/gateway/src/workers/model-infer.ts";
import { serveMethods, type Answer, type Answerer } from "../../harness/model-server.ts";
import { startPool, type TestPool } from "../../harness/pool.ts";
import { until } from "../../harness/until.ts";

const folder = path.join(import.meta.dirname, "fixtures");
const bytesOf = (name: string): Buffer => readFileSync(path.join(folder, `${name}.bin`));
const refusals = JSON.parse(readFileSync(path.join(folder, "refusals.json"), "utf8")) as Record<
  string,
  { readonly code: number; readonly details: string }
>;

function refusalOf(name: string): Answer {
  const refusal = refusals[name];
  assert.ok(refusal, name);
  return refusal;
}

/** Two irises, a setosa and a virginica, as when the answers were recorded. */
const irises: Tensor = {
  name: "features",
  datatype: "FP64",
  shape: [2, 4],
  data: new Uint8Array(Float64Array.of(5.1, 3.5, 1.4, 0.2, 6.7, 3, 5.2, 2.3).buffer),
};

/** The recorded answer to a call for the two irises. */
function inferAnswer(message: Uint8Array): Answer {
  const request = inference.ModelInferRequest.decode(message);
  const { modelName, modelVersion, outputs, rawInputContents } = request;
  assert.deepEqual(Buffer.from(rawInputContents[0] ?? []), Buffer.from(irises.data));
  if (modelName !== "iris" && modelName !== "bare") return refusalOf("infer-unknown-model");
  if (modelVersion !== (modelName === "iris" ? "v1" : "")) return refusalOf("infer-unknown-version");
  if (!outputs.every(({ name }) => name === "predict" || name === "predict_proba"))
    return refusalOf("infer-unknown-output");
  if (modelName === "bare") return bytesOf("infer-bare");
  return bytesOf(outputs.length === 0 ? "infer-none-named" : "infer-both-named");
}

interface Replay {
  index: "repository-index" | "repository-index-unloaded";
  readonly pool: TestPool;
}

/** A pool whose server answers with the recorded bytes. */
async function replay(test: TestContext): Promise<Replay> {
  const state: { index: Replay["index"] } = { index: "repository-index" };
  const methods: Record<string, Answerer> = {
    ServerReady: () => bytesOf("server-ready"),
    ModelReady: () => bytesOf("model-ready"),
    RepositoryIndex: () => bytesOf(state.index),
    ModelMetadata: (message) =>
      bytesOf(`model-metadata-${inference.ModelMetadataRequest.decode(message).name}`),
    ModelConfig: () => refusalOf("model-config"),
    ModelInfer: inferAnswer,
  };
  const byPath = Object.entries(methods).map(([name, answer]) => [
    `/inference.GRPCInferenceService/${name}`,
    answer,
  ]);
  const { port, server } = await serveMethods(Object.fromEntries(byPath) as Record<string, Answerer>, {});
  test.after(() => server.forceShutdown());
  const pool = await startPool(test, { endpoints: [`grpc://127.0.0.1:${port}`], maxBatch: 8 });
  await until(
    "both models serve",
    () => pool.pool.list().filter((row) => row.state === "READY").length === 2,
  );
  return Object.assign(state, { pool });
}

test("its models are found with what it says of them", async (test) => {
  const { pool } = await replay(test);
  const iris = pool.pool.endpointFor("iris", undefined);
  assert.ok(iris !== undefined && !isFailure(iris));
  assert.deepEqual(iris.model, {
    name: "iris",
    version: "v1",
    platform: "sklearn",
    inputs: [{ name: "features", datatype: "FP64", shape: [-1, 4] }],
    outputs: [
      { name: "predict", datatype: "INT64", shape: [-1, 1] },
      { name: "predict_proba", datatype: "FP64", shape: [-1, 3] },
    ],
    task: undefined,
    mapping: { features: "features", prompt: undefined, image: undefined },
    batchable: true,
    maxBatch: 8,
    mock: false,
  });
  assert.deepEqual(pool.pool.versions("bare"), ["1"]);
});

test("all outputs are asked for, and their classes are read", async (test) => {
  const { pool } = await replay(test);
  const answer = await pool.ask({ model: "iris", inputs: [irises] });
  assert.ok(!isFailure(answer), JSON.stringify(answer));
  assert.deepEqual(
    answer.outputs.map(({ name, datatype, shape }) => ({ name, datatype, shape })),
    [
      { name: "predict", datatype: "INT64", shape: [2, 1] },
      { name: "predict_proba", datatype: "FP64", shape: [2, 3] },
    ],
  );
  const rows = classifyRows(answer, 2);
  assert.ok(Array.isArray(rows));
  assert.deepEqual(
    rows.map(({ classId, confidence }) => [classId, Math.round(confidence * 100)]),
    [
      [0, 98],
      [2, 96],
    ],
  );
});

test("one output is asked for by name; a model without version and description is called as it is", async (test) => {
  const { pool } = await replay(test);
  const one = await pool.ask({ model: "iris", inputs: [irises], outputs: ["predict"] });
  assert.ok(!isFailure(one), JSON.stringify(one));
  const bare = await pool.ask({ model: "bare", inputs: [irises] });
  assert.ok(!isFailure(bare), JSON.stringify(bare));
  assert.deepEqual(
    bare.outputs.map((output) => output.name),
    ["predict"],
  );
});

test("its refusals keep their words", async (test) => {
  const { pool } = await replay(test);
  const answer = await pool.ask({ model: "bare", inputs: [irises], outputs: ["colour"] });
  assert.ok(isFailure(answer));
  assert.equal(answer.code, "bad_request");
  assert.equal(answer.message, refusals["infer-unknown-output"]?.details);
});

test("a model it has unloaded is no longer served", async (test) => {
  const state = await replay(test);
  state.index = "repository-index-unloaded";
  await until("it is noticed", () => state.pool.stateOf("bare") === undefined);
  assert.equal(state.pool.stateOf("iris"), "ready");
});

test("raw and typed contents are read alike", () => {
  const raw = decodeInferResponse(bytesOf("infer-both-named"));
  const typed = decodeInferResponse(bytesOf("infer-both-typed"));
  const plain = (outputs: readonly Tensor[]) =>
    outputs.map(({ data, ...rest }) => ({ ...rest, data: Buffer.from(data).toString("hex") }));
  assert.deepEqual(plain(typed.outputs), plain(raw.outputs));
});
