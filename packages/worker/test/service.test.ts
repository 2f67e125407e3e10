/** The worker's gRPC surface, called by grpc-js: every method, every refusal. */
import assert from "node:assert/strict";
import { mkdtemp, readFile, readdir, rm } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { after, before, describe, test } from "node:test";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { encodeBytesElements } from "@spillway/protocol/tensors";
import { buildMlp, mlpWeights } from "../../../test/harness/onnx-build.ts";
import { silentLog } from "../src/log.ts";
import type { StandaloneWorker } from "../src/standalone/standalone-worker.ts";
import { startStandaloneWorker } from "../src/standalone/standalone-worker.ts";
import type { TestClient } from "./support/client.ts";
import { createTestClient, floats, toFloats } from "./support/client.ts";
import { buildTypedIdentity } from "./support/onnx-graph.ts";
import { writeFiles } from "./support/temporary.ts";

const digits = fileURLToPath(new URL("../../../models/digits/", import.meta.url));

const kserve = "inference.GRPCInferenceService";

interface InferAnswer {
  model_name: string;
  model_version: string;
  id: string;
  parameters: Record<string, { int64_param?: number; string_param?: string }>;
  outputs: { name: string; datatype: string; shape: number[] }[];
  raw_output_contents: Buffer[];
}

interface GrpcError extends Error {
  code: number;
  details: string;
  metadata: { get(name: string): unknown[] };
}

const state = {} as { folder: string; worker: StandaloneWorker; client: TestClient };

before(async () => {
  state.folder = await mkdtemp(join(tmpdir(), "spw-service-"));
  await writeFiles(state.folder, {
    "mlp/1/model.onnx": buildMlp({ layers: [4, 3], seed: 1, softmax: true }),
    "mlp/2/model.onnx": buildMlp({ layers: [4, 3], seed: 2, softmax: true }),
    "mlp/model.yaml":
      "task: classify\nlabels: [a, b, c]\nversions: { policy: all }\nthresholds: { confidence: 0.5 }",
    "typed/1/model.onnx": buildTypedIdentity(["INT64", "UINT8", "BOOL", "BYTES", "FP16"]),
    "typed/model.yaml": "batching: { maxBatch: 4 }",
    "digits/1/model.onnx": await readFile(join(digits, "1/model.onnx")),
    "digits/model.yaml": await readFile(join(digits, "model.yaml")),
    "words/model.yaml": "engine: text\ntask: classify",
    "pretend/model.yaml": "engine: mock\ntask: classify\nmock: { classes: 3, latencyMs: 30, width: 2 }",
    "plain/model.yaml": "engine: mock\nmock: { failureRate: 1 }",
    "corrupt/1/model.onnx": "not a model",
    "badyaml/model.yaml": "engine: onx",
    "badyaml/1/model.onnx": "",
  });
  state.worker = await startStandaloneWorker({ models: state.folder, port: 0, pollMs: 0, log: silentLog });
  await state.worker.loaded;
  state.client = createTestClient(`127.0.0.1:${state.worker.port}`);
});

after(async () => {
  state.client.close();
  await state.worker.close();
  await rm(state.folder, { recursive: true, force: true });
});

const infer = (request: object) => state.client.call<InferAnswer>(`${kserve}/ModelInfer`, request);

const mlpRequest = (change: object = {}) => ({
  model_name: "mlp",
  inputs: [{ name: "x", datatype: "FP32", shape: [1, 4] }],
  raw_input_contents: [floats(1, 2, 3, 4)],
  ...change,
});

/** What the MLP of a seed answers, calculated from its weights. */
function expectedScores(seed: number, row: readonly number[]): number[] {
  const [layer] = mlpWeights({ layers: [4, 3], seed });
  assert.ok(layer);
  const sums = Array.from(layer.bias, (bias, o) =>
    row.reduce((sum, value, i) => sum + value * layer.weights[i * 3 + o]!, bias),
  );
  const powers = sums.map(Math.exp);
  const total = powers.reduce((a, b) => a + b);
  return powers.map((power) => power / total);
}

function assertClose(actual: readonly number[], expected: readonly number[]): void {
  assert.equal(actual.length, expected.length);
  actual.forEach((value, index) =>
    assert.ok(Math.abs(value - expected[index]!) < 1e-5, `${actual.join()} for ${expected.join()}`),
  );
}

async function refusal(call: Promise<unknown>): Promise<GrpcError> {
  return call.then(
    () => assert.fail("expected a refusal"),
    (error: GrpcError) => error,
  );
}

describe("ModelInfer", () => {
  test("raw contents: the highest version answers, with id, times and raw outputs", async () => {
    const answer = await infer(mlpRequest({ id: "7" }));
    assert.deepEqual([answer.model_name, answer.model_version, answer.id], ["mlp", "2", "7"]);
    assert.deepEqual(
      answer.outputs.map(({ name, datatype, shape }) => [name, datatype, shape]),
      [["y", "FP32", [1, 3]]],
    );
    assertClose(toFloats(answer.raw_output_contents[0]!), expectedScores(2, [1, 2, 3, 4]));
    assert.ok(answer.parameters["compute_ns"]!.int64_param! > 0);
    assert.equal(answer.parameters["preprocess_ns"]!.int64_param, 0);
    assert.equal(answer.parameters["engine"], undefined);
  });

  test("the version asked for answers", async () => {
    const answer = await infer(mlpRequest({ model_version: "1" }));
    assertClose(toFloats(answer.raw_output_contents[0]!), expectedScores(1, [1, 2, 3, 4]));
  });

  test("typed contents and several rows", async () => {
    const answer = await infer({
      model_name: "mlp",
      inputs: [
        { name: "x", datatype: "FP32", shape: [2, 4], contents: { fp32_contents: [1, 2, 3, 4, 0, 0, 0, 1] } },
      ],
    });
    const scores = toFloats(answer.raw_output_contents[0]!);
    assertClose(scores.slice(0, 3), expectedScores(2, [1, 2, 3, 4]));
    assertClose(scores.slice(3), expectedScores(2, [0, 0, 0, 1]));
  });

  test("typed contents of every kind reach the model", async () => {
    const shape = [1, 2];
    const bytes = [Buffer.from("a"), Buffer.from("ü")];
    const answer = await infer({
      model_name: "typed",
      inputs: [
        { name: "x0", datatype: "INT64", shape, contents: { int64_contents: ["-9007199254740993", "5"] } },
        { name: "x1", datatype: "UINT8", shape, contents: { uint_contents: [0, 255] } },
        { name: "x2", datatype: "BOOL", shape, contents: { bool_contents: [true, false] } },
        { name: "x3", datatype: "BYTES", shape, contents: { bytes_contents: bytes } },
        { name: "x4", datatype: "FP16", shape, contents: {} },
      ],
    }).catch((error: GrpcError) => error);
    assert.ok(answer instanceof Error && "code" in answer);
    assert.match(answer.message, /input "x4": FP16 is sent in raw_input_contents only/);
    const raw = [
      Buffer.from(BigInt64Array.of(-9007199254740993n, 5n).buffer),
      Buffer.of(0, 255),
      Buffer.of(1, 0),
      Buffer.from(encodeBytesElements(bytes)),
      Buffer.from(Uint16Array.of(0x3c00, 0x4000).buffer),
    ];
    const inputs = ["INT64", "UINT8", "BOOL", "BYTES", "FP16"].map((datatype, index) => ({
      name: `x${index}`,
      datatype,
      shape,
    }));
    const echoed = await infer({ model_name: "typed", inputs, raw_input_contents: raw });
    assert.deepEqual(echoed.raw_output_contents, raw);
  });

  test("only requested outputs are answered, in the order asked", async () => {
    const shape = [1, 2];
    const inputs = ["INT64", "UINT8", "BOOL", "BYTES", "FP16"].map((datatype, index) => ({
      name: `x${index}`,
      datatype,
      shape,
    }));
    const raw = [Buffer.alloc(16), Buffer.of(1, 2), Buffer.alloc(2), Buffer.alloc(8), Buffer.alloc(4)];
    const request = {
      model_name: "typed",
      inputs,
      raw_input_contents: raw,
      outputs: [{ name: "y2" }, { name: "y1" }],
    };
    const answer = await infer(request);
    assert.deepEqual(
      answer.outputs.map(({ name }) => name),
      ["y2", "y1"],
    );
    assert.deepEqual(answer.raw_output_contents, [raw[2], raw[1]]);
  });

  test("a mock is named as such", async () => {
    const request = {
      model_name: "pretend",
      inputs: [{ name: "features", datatype: "FP32", shape: [1, 2] }],
      raw_input_contents: [floats(1, 2)],
    };
    const answer = await infer(request);
    assert.equal(answer.parameters["engine"]!.string_param, "mock");
    assert.ok(answer.parameters["compute_ns"]!.int64_param! >= 29e6);
  });

  test("pictures become the model's tensor", async () => {
    const names = (await readdir(join(digits, "samples"))).filter((name) => name.endsWith(".png"));
    const pictures = await Promise.all(names.map((name) => readFile(join(digits, "samples", name))));
    const answer = await infer({
      model_name: "digits",
      inputs: [{ name: "image", datatype: "BYTES", shape: [pictures.length] }],
      raw_input_contents: [encodeBytesElements(pictures)],
    });
    assert.deepEqual(answer.outputs[0]!.shape, [pictures.length, 10]);
    const scores = toFloats(answer.raw_output_contents[0]!);
    names.forEach((name, row) => {
      const own = scores.slice(row * 10, row * 10 + 10);
      assert.equal(own.indexOf(Math.max(...own)), Number(/\d/.exec(name)![0]), name);
    });
    assert.ok(answer.parameters["preprocess_ns"]!.int64_param! > 0);
  });

  test("bad pictures are named by row", async () => {
    const error = await refusal(
      infer({
        model_name: "digits",
        inputs: [{ name: "image", datatype: "BYTES", shape: [2] }],
        raw_input_contents: [encodeBytesElements([Buffer.from("a"), Buffer.from("b")])],
      }),
    );
    assert.equal(error.code, 3);
    assert.equal(
      error.details,
      'model "digits": input "image": picture 1 of 2 is not an image; expected a JPEG, PNG or WebP file',
    );
    assert.deepEqual(error.metadata.get("spillway-bad-rows"), ["0,1"]);
  });

  const x = { name: "x", datatype: "FP32", shape: [1, 4] };
  const refused: Record<string, readonly [request: object, code: number, message: string]> = {
    "unknown model": [
      { model_name: "no" },
      5,
      'Request for unknown model: "no" is not found; served: badyaml, corrupt, ',
    ],
    "a path as a model": [{ model_name: "../mlp" }, 5, 'Request for unknown model: "../mlp" is not found'],
    "unknown version": [mlpRequest({ model_version: "3" }), 5, 'model "mlp" has no version "3"; it has 1, 2'],
    "corrupt model": [
      { model_name: "corrupt" },
      14,
      'model "corrupt" version 1 is not available: the ONNX file cannot be loaded',
    ],
    "bad model.yaml": [
      { model_name: "badyaml" },
      14,
      'model "badyaml" is not available: badyaml/model.yaml:1: engine',
    ],
    "missing tensor": [
      mlpRequest({ inputs: [], raw_input_contents: [] }),
      3,
      'model "mlp": missing input "x"; expected "x" FP32 [-1,4]',
    ],
    "extra tensor": [
      mlpRequest({
        inputs: [x, { ...x, name: "z" }],
        raw_input_contents: [floats(1, 2, 3, 4), floats(1, 2, 3, 4)],
      }),
      3,
      'model "mlp": unexpected input "z"; expected "x" FP32 [-1,4]',
    ],
    datatype: [
      mlpRequest({ inputs: [{ ...x, datatype: "FP64", shape: [1, 2] }] }),
      3,
      'model "mlp": input "x": expected datatype FP32, got FP64',
    ],
    "unknown datatype": [
      mlpRequest({ inputs: [{ ...x, datatype: "FLOAT" }] }),
      3,
      'input "x": unknown datatype "FLOAT"; expected one of BOOL, ',
    ],
    shape: [
      mlpRequest({ inputs: [{ ...x, shape: [2, 2] }] }),
      3,
      'model "mlp": input "x": expected shape [-1,4], got [2,2]',
    ],
    "byte length": [
      mlpRequest({ raw_input_contents: [floats(1)] }),
      3,
      'model "mlp": input "x": expected 16 bytes for FP32 [1,4], got 4',
    ],
    "no rows": [
      mlpRequest({ inputs: [{ ...x, shape: [0, 4] }], raw_input_contents: [Buffer.alloc(0)] }),
      3,
      'model "mlp": input "x": expected at least one row, got [0,4]',
    ],
    "raw and typed": [
      mlpRequest({ inputs: [{ ...x, contents: { fp32_contents: [1] } }] }),
      3,
      'input "x": expected no contents beside raw_input_contents',
    ],
    "the wrong typed array": [
      mlpRequest({ inputs: [{ ...x, contents: { int_contents: [1, 2, 3, 4] } }], raw_input_contents: [] }),
      3,
      'input "x": expected fp32_contents for FP32, got int_contents',
    ],
    "too few raw contents": [
      mlpRequest({ inputs: [x, { ...x, name: "z" }] }),
      3,
      "expected one entry of raw_input_contents for each of the 2 inputs, got 1",
    ],
    "unknown output": [
      mlpRequest({ outputs: [{ name: "z" }] }),
      3,
      'model "mlp": unexpected output "z"; the model has "y" FP32 [-1,3]',
    ],
    "a failing model": [
      { model_name: "plain", inputs: [{ ...x, name: "features" }], raw_input_contents: [floats(1, 2, 3, 4)] },
      13,
      'model "plain" failed: the mock failed, as its failureRate says',
    ],
  };
  for (const [name, [request, code, message]] of Object.entries(refused)) {
    test(`refused: ${name}`, async () => {
      const error = await refusal(infer(request));
      assert.deepEqual([error.code, error.details.slice(0, message.length)], [code, message]);
      assert.equal((await infer(mlpRequest())).model_version, "2");
    });
  }

  test("long names in a refusal are cut", async () => {
    const error = await refusal(infer({ model_name: "n".repeat(100_000) }));
    assert.ok(error.details.length <= 1_001);
  });

  test("bytes that are no message are refused", async () => {
    const path = `/${kserve}/ModelInfer`;
    const send = new Promise((resolve, reject) =>
      state.client.raw.makeUnaryRequest(
        path,
        (bytes: Buffer) => bytes,
        (bytes) => bytes,
        Buffer.from([0xff, 0xff]),
        (error, answer) => (error === null ? resolve(answer) : reject(error)),
      ),
    );
    const error = await refusal(send);
    assert.deepEqual([error.code, /is not a valid protobuf message/.test(error.details)], [3, true]);
  });

  test("a call that is cancelled in line is never run", async () => {
    const request = {
      model_name: "pretend",
      inputs: [{ name: "features", datatype: "FP32", shape: [1, 2] }],
      raw_input_contents: [floats(1, 2)],
    };
    const count = async () => {
      const answer = await state.client.call<{ model_stats: { execution_count: number }[] }>(
        `${kserve}/ModelStatistics`,
        { name: "pretend" },
      );
      return answer.model_stats[0]!.execution_count;
    };
    const start = await count();
    const first = infer(request);
    const late = await refusal(state.client.call(`${kserve}/ModelInfer`, request, 10));
    assert.equal(late.code, 4);
    await first;
    await infer(request);
    assert.equal(await count(), start + 2);
  });
});

describe("Predict", () => {
  const predict = (request: object) =>
    state.client.call<{ class_id: number; confidence: number; error: string }>(
      "inference.ModelInference/Predict",
      request,
    );

  test("features and prompts give a class and a confidence", async () => {
    const expected = expectedScores(2, [1, 2, 3, 4]);
    const answer = await predict({ model_name: "mlp", features: [1, 2, 3, 4] });
    assert.equal(answer.class_id, expected.indexOf(Math.max(...expected)));
    assertClose([answer.confidence], [Math.max(...expected)]);
    const praise = await predict({ model_name: "words", prompt: "I love it" });
    assert.deepEqual([praise.class_id, praise.error], [1, ""]);
  });

  const refused: Record<string, readonly [request: object, code: number, message: string]> = {
    "no model": [{ features: [1] }, 3, "model_name: expected a model's name"],
    neither: [{ model_name: "mlp" }, 3, "expected features or a prompt, got neither"],
    both: [{ model_name: "mlp", features: [1], prompt: "a" }, 3, "expected features or a prompt, got both"],
    "too few": [{ model_name: "mlp", features: [1, 2, 3] }, 3, 'model "mlp": expected 4 features, got 3'],
    "a prompt for numbers": [{ model_name: "mlp", prompt: "a" }, 3, 'model "mlp" takes no prompt'],
    "numbers for a prompt": [{ model_name: "words", features: [1] }, 3, 'model "words" takes no features'],
    "no task": [{ model_name: "plain", features: [1] }, 13, 'model "plain" failed'],
  };
  for (const [name, [request, code, message]] of Object.entries(refused)) {
    test(`refused: ${name}`, async () => {
      const error = await refusal(predict(request));
      assert.deepEqual([error.code, error.details.slice(0, message.length)], [code, message]);
    });
  }
});

describe("what the server says of itself", () => {
  test("it is live and ready, models are ready or not", async () => {
    assert.deepEqual(await state.client.call(`${kserve}/ServerLive`), { live: true });
    assert.deepEqual(await state.client.call(`${kserve}/ServerReady`), { ready: true });
    assert.deepEqual(await state.client.call(`${kserve}/ModelReady`, { name: "mlp" }), { ready: true });
    assert.deepEqual(await state.client.call(`${kserve}/ModelReady`, { name: "corrupt" }), { ready: false });
    assert.equal((await refusal(state.client.call(`${kserve}/ModelReady`, { name: "no" }))).code, 5);
    const { name, extensions } = await state.client.call(`${kserve}/ServerMetadata`);
    assert.deepEqual(
      [name, extensions],
      ["spillway-worker", ["model_repository", "model_configuration", "statistics"]],
    );
  });

  test("metadata has tensors, versions and what a gateway needs", async () => {
    const metadata = await state.client.call<{
      versions: string[];
      platform: string;
      inputs: { name: string; datatype: string; shape: number[] }[];
      parameters: Record<string, { string_param: string; bool_param: boolean; int64_param: number }>;
    }>(`${kserve}/ModelMetadata`, { name: "mlp" });
    assert.deepEqual([metadata.versions, metadata.platform], [["1", "2"], "onnxruntime_onnx"]);
    assert.deepEqual(
      metadata.inputs.map(({ name, datatype, shape }) => [name, datatype, shape]),
      [["x", "FP32", [-1, 4]]],
    );
    const { engine, batchable, max_batch: maxBatch, task, calibration } = metadata.parameters;
    assert.deepEqual([engine!.string_param, batchable!.bool_param], ["onnx", true]);
    assert.ok(maxBatch!.int64_param > 1);
    assert.deepEqual(JSON.parse(task!.string_param), {
      task: "classify",
      labels: ["a", "b", "c"],
      thresholds: { confidence: 0.5 },
      outputs: { scores: "y" },
      input: { features: "x" },
    });
    assert.equal(
      (JSON.parse(calibration!.string_param) as { maxBatch: number }).maxBatch,
      maxBatch!.int64_param,
    );
  });

  test("configuration in Triton's words", async () => {
    const { config } = await state.client.call<{ config: Record<string, unknown> }>(`${kserve}/ModelConfig`, {
      name: "typed",
    });
    assert.deepEqual([config["backend"], config["max_batch_size"]], ["onnxruntime", 4]);
    const [first, , , fourth] = config["input"] as { data_type: string; dims: number[] }[];
    assert.deepEqual([first!.data_type, first!.dims, fourth!.data_type], ["TYPE_INT64", [2], "TYPE_STRING"]);
  });

  test("the index tells state and reason", async () => {
    const { models } = await state.client.call<{
      models: { name: string; version: string; state: string; reason: string }[];
    }>(`${kserve}/RepositoryIndex`);
    const of = (name: string) =>
      models.filter((model) => model.name === name).map((model) => [model.version, model.state]);
    assert.deepEqual(of("mlp"), [
      ["1", "READY"],
      ["2", "READY"],
    ]);
    assert.deepEqual(of("corrupt"), [["1", "UNAVAILABLE"]]);
    assert.match(
      models.find((model) => model.name === "badyaml")!.reason,
      /^badyaml\/model\.yaml:1: engine: expected one of/,
    );
    const ready = await state.client.call<{ models: unknown[] }>(`${kserve}/RepositoryIndex`, {
      ready: true,
    });
    assert.equal(ready.models.length, models.length - 2);
  });

  test("statistics count rows and calls", async () => {
    await infer(
      mlpRequest({
        model_version: "1",
        inputs: [{ name: "x", datatype: "FP32", shape: [3, 4] }],
        raw_input_contents: [Buffer.alloc(48)],
      }),
    );
    const { model_stats: all } = await state.client.call<{
      model_stats: {
        name: string;
        version: string;
        inference_count: number;
        execution_count: number;
        batch_stats: { batch_size: number }[];
      }[];
    }>(`${kserve}/ModelStatistics`);
    const one = all.find((model) => model.name === "mlp" && model.version === "1")!;
    assert.equal(one.inference_count, one.execution_count + 2);
    assert.ok(one.batch_stats.some((batch) => batch.batch_size === 3));
    assert.equal((await refusal(state.client.call(`${kserve}/ModelStatistics`, { name: "no" }))).code, 5);
  });

  test("what is not offered is UNIMPLEMENTED", async () => {
    for (const name of [
      "SystemSharedMemoryStatus",
      "CudaSharedMemoryRegister",
      "TraceSetting",
      "LogSettings",
    ])
      assert.equal((await refusal(state.client.call(`${kserve}/${name}`))).code, 12, name);
  });
});

describe("health", () => {
  const check = (service: string) => state.client.call("grpc.health.v1.Health/Check", { service });

  test("Check knows the server and its services", async () => {
    for (const service of ["", kserve, "inference.ModelInference"])
      assert.deepEqual(await check(service), { status: "SERVING" });
    assert.equal((await refusal(check("no.Such"))).code, 5);
  });
});

describe("reflection", () => {
  for (const version of ["v1", "v1alpha"]) {
    test(`${version} lists services and gives the files of a symbol`, async () => {
      const service = state.client.definitions[
        `grpc.reflection.${version}.ServerReflection`
      ] as never as Record<string, never>;
      const method = service["ServerReflectionInfo"]! as {
        path: string;
        requestSerialize: (value: object) => Buffer;
        responseDeserialize: (bytes: Buffer) => Record<string, never>;
      };
      const stream = state.client.raw.makeBidiStreamRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
      );
      const answers: Record<string, never>[] = [];
      stream.on("data", (answer: Record<string, never>) => answers.push(answer));
      const ended = new Promise((resolve, reject) => stream.on("end", resolve).on("error", reject));
      stream.write({ list_services: "" });
      stream.write({ file_containing_symbol: `${kserve}.ModelInfer` });
      stream.write({ file_by_filename: "nowhere.proto" });
      stream.end();
      await ended;
      const [list, files, none] = answers as unknown as [
        { list_services_response: { service: { name: string }[] } },
        { file_descriptor_response: { file_descriptor_proto: Buffer[] } },
        { error_response: { error_code: number } },
      ];
      assert.ok(list.list_services_response.service.some(({ name }) => name === kserve));
      assert.ok(files.file_descriptor_response.file_descriptor_proto[0]!.includes("ModelInferRequest"));
      assert.equal(none.error_response.error_code, 5);
    });
  }
});
