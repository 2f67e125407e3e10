/** The gRPC form of v2: inference in both tensor forms, the stream, and the describing calls. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { inference, methods as declared } from "@spillway/protocol";
import { createManualClock } from "../../testing.ts";
import {
  bodyOf,
  floats,
  irisTask,
  methodNamed,
  rpcCall,
  serve,
  testCatalog,
  testModel,
  type Answerer,
  type CatalogState,
} from "../../../test/support/dialect-calls.ts";
import type { RpcCall } from "../../contracts/route.ts";
import { failure } from "../../core/errors.ts";
import { JsonThreads } from "../json/json-threads.ts";
import { encodeTexts } from "../tensors/encode-texts.ts";
import { createKserveRpc } from "./create-kserve-rpc.ts";

const jsonThreads = new JsonThreads({ clock: createManualClock() });
after(() => jsonThreads.close());

const iris = testModel({ task: irisTask });
const scores: Answerer = (bound) => [
  floats("y", [bound.rows, 3], Array.from({ length: bound.rows }, () => [0.125, 0.75, 0.125]).flat()),
];

function start(state: Partial<CatalogState> = {}) {
  const catalog = testCatalog({ models: [iris], ...state });
  const methods = createKserveRpc({
    catalog,
    defaults: { requestTimeoutMs: 10_000 },
    server: { name: "spillway", version: "0.1.0" },
    jsonThreads,
  });
  const call = (
    name: string,
    message: Uint8Array = new Uint8Array(),
    changes: Partial<RpcCall> = {},
    model = iris,
  ) => serve(methodNamed(methods, name).handle(rpcCall(message, changes)), model, scores);
  return { catalog, methods, call };
}

const { methods, call } = start();

function encodeInfer(fields: inference.ModelInferRequest.$Properties): Uint8Array {
  return inference.ModelInferRequest.encode(fields).finish();
}

const shape = { name: "x", datatype: "FP32", shape: [1, 4] };
const raw = floats("x", [1, 4], [5.1, 3.5, 1.4, 0.2]).data;
const rawRequest: inference.ModelInferRequest.$Properties = {
  modelName: "iris",
  id: "7",
  inputs: [shape],
  rawInputContents: [raw],
};

async function refused(fields: inference.ModelInferRequest.$Properties, model = iris): Promise<string> {
  const { failure: reason } = await call("ModelInfer", encodeInfer(fields), {}, model);
  assert.ok(reason, "expected a refusal");
  return `${reason.code} ${reason.message}`;
}

test("raw tensors in, raw tensors out, neither copied", async () => {
  const message = encodeInfer(rawRequest);
  const { bound, answer, request } = await call("ModelInfer", message);
  assert.equal(bound?.inputs[0]?.data.buffer, message.buffer);
  const response = inference.ModelInferResponse.decode(bodyOf(answer));
  assert.deepEqual([response.modelName, response.modelVersion, response.id], ["iris", "1", "7"]);
  assert.deepEqual(
    response.outputs.map(({ name, datatype, shape: dims }) => [name, datatype, dims]),
    [["y", "FP32", [1, 3]]],
  );
  assert.deepEqual(
    Buffer.from(response.rawOutputContents[0] ?? []),
    Buffer.from(floats("y", [1, 3], [0.125, 0.75, 0.125]).data),
  );
  assert.deepEqual([request?.model, request?.version, request?.deadline], ["iris", undefined, 11_000]);
});

test("a large raw tensor has a length of several bytes", async () => {
  const large = new Uint8Array(300_000).fill(3);
  const model = testModel({ inputs: [{ name: "x", datatype: "UINT8", shape: [-1, -1] }] });
  const echo: Answerer = (bound) => bound.inputs.map((input) => ({ ...input, name: "y" }));
  const message = encodeInfer({
    modelName: "iris",
    inputs: [{ name: "x", datatype: "UINT8", shape: [1, 300_000] }],
    rawInputContents: [large],
  });
  const { answer } = await serve(methodNamed(methods, "ModelInfer").handle(rpcCall(message)), model, echo);
  const response = inference.ModelInferResponse.decode(bodyOf(answer));
  assert.deepEqual(Buffer.from(response.rawOutputContents[0] ?? []), Buffer.from(large));
});

test("typed contents are answered with typed contents, 16-bit floats raw", async () => {
  const typed = { modelName: "iris", inputs: [{ ...shape, contents: { fp32Contents: [1, 2, 3, 4] } }] };
  const { answer, bound } = await call("ModelInfer", encodeInfer(typed));
  assert.deepEqual(
    Buffer.from(bound?.inputs[0]?.data ?? []),
    Buffer.from(floats("x", [1, 4], [1, 2, 3, 4]).data),
  );
  const response = inference.ModelInferResponse.decode(bodyOf(answer));
  assert.deepEqual(response.outputs[0]?.contents?.fp32Contents, [0.125, 0.75, 0.125]);
  assert.equal(response.rawOutputContents.length, 0);
  const half: Answerer = () => [
    { name: "y", datatype: "FP16", shape: [1, 1], data: new Uint8Array([0, 60]) },
  ];
  const mixed = await serve(
    methodNamed(methods, "ModelInfer").handle(rpcCall(encodeInfer(typed))),
    iris,
    half,
  );
  assert.deepEqual(
    inference.ModelInferResponse.decode(bodyOf(mixed.answer)).rawOutputContents.map((bytes) => [...bytes]),
    [[0, 60]],
  );
});

test("large typed contents are decoded and encoded in a thread, too many are refused unread", async () => {
  const count = 150_000;
  const model = testModel({ inputs: [{ name: "x", datatype: "FP32", shape: [-1, -1] }] });
  const fp32Contents = Array.from({ length: count }, (_, i) => Math.fround(Math.sin(i)));
  const inputs = [{ name: "x", datatype: "FP32", shape: [1, count], contents: { fp32Contents } }];
  const echo: Answerer = (bound) => bound.inputs.map((input) => ({ ...input, name: "y" }));
  const infer = methodNamed(methods, "ModelInfer");
  const handled = infer.handle(rpcCall(encodeInfer({ modelName: "iris", id: "9", inputs })));
  assert.ok(handled instanceof Promise);
  const { answer, request } = await serve(handled, model, echo);
  const response = inference.ModelInferResponse.decode(bodyOf(answer));
  assert.deepEqual([request?.model, response.id, response.modelName], ["iris", "9", "iris"]);
  assert.deepEqual(response.outputs[0]?.contents?.fp32Contents, fp32Contents);
  const zeros = new Uint8Array(9_000_000);
  const flags = encodeInfer({ inputs: [{ name: "x", datatype: "BOOL", shape: [9_000_000] }] });
  const contents = Buffer.concat([Buffer.from([0x0a]), varint(zeros.length), zeros]);
  const input = Buffer.concat([Buffer.from([0x2a]), varint(contents.length), contents]);
  const many = Buffer.concat([flags, Buffer.from([0x2a]), varint(input.length), input]);
  const { failure: reason } = await serve(infer.handle(rpcCall(many)), model);
  assert.equal(reason?.code, "body_too_large");
  assert.match(reason.message, /more than 8388608 values in typed contents; send raw_input_contents/);
});

/** A protobuf varint. */
function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  for (let rest = value; rest > 0; rest = Math.floor(rest / 128))
    bytes.push((rest % 128) | (rest > 127 ? 128 : 0));
  return Uint8Array.from(bytes);
}

test("a large picture in typed BYTES weighs little", async () => {
  const picture = new Uint8Array(10_000_000).fill(200);
  const model = testModel({ inputs: [{ name: "x", datatype: "BYTES", shape: [-1] }] });
  const message = encodeInfer({
    modelName: "iris",
    inputs: [{ name: "x", datatype: "BYTES", shape: [1], contents: { bytesContents: [picture] } }],
  });
  const { bound } = await serve(methodNamed(methods, "ModelInfer").handle(rpcCall(message)), model);
  assert.equal(bound?.inputs[0]?.data.length, 10_000_004);
});

test("parameters: timeout, priority, classification, and the client's own deadline", async () => {
  const parameters = { timeout: { int64Param: 250_000 }, priority: { uint64Param: 1 } };
  const { request } = await call("ModelInfer", encodeInfer({ ...rawRequest, parameters, modelVersion: "3" }));
  assert.deepEqual([request?.deadline, request?.priority, request?.version], [1250, 7, "3"]);
  const hurried = await call("ModelInfer", encodeInfer(rawRequest), { timeoutMs: 40 });
  assert.equal(hurried.request?.deadline, 1040);
  const outputs = [{ name: "y", parameters: { classification: { int64Param: 1 } } }];
  const classified = await call("ModelInfer", encodeInfer({ ...rawRequest, outputs }));
  const response = inference.ModelInferResponse.decode(bodyOf(classified.answer));
  assert.deepEqual([response.outputs[0]?.datatype, response.outputs[0]?.shape], ["BYTES", [1, 1]]);
  assert.deepEqual(
    Buffer.from(response.rawOutputContents[0] ?? []),
    Buffer.from(encodeTexts(["0.75:1:versicolor"])),
  );
});

test("a mock says so, a stream may ask for its last answer to be marked", async () => {
  const parameters = { triton_enable_empty_final_response: { boolParam: true } };
  const mock = testModel({ mock: true });
  const { answer } = await call("ModelStreamInfer", encodeInfer({ ...rawRequest, parameters }), {}, mock);
  const response = inference.ModelStreamInferResponse.decode(bodyOf(answer));
  assert.equal(response.errorMessage, "");
  assert.equal(response.inferResponse?.id, "7");
  assert.equal(response.inferResponse?.rawOutputContents?.length, 1);
  assert.equal(response.inferResponse?.parameters?.mock?.boolParam, true);
  assert.equal(response.inferResponse?.parameters?.triton_final_response?.boolParam, true);
});

test("a failed message of a stream is told inside it, with the request's id", () => {
  const stream = methodNamed(methods, "ModelStreamInfer");
  assert.equal(stream.kind, "messages");
  const pieces = stream.writeFailure?.(failure("queue_full"), rpcCall(encodeInfer(rawRequest)));
  const response = inference.ModelStreamInferResponse.decode(Buffer.concat(pieces ?? []));
  assert.deepEqual(
    [response.errorMessage, response.inferResponse?.id, response.inferResponse?.modelName],
    ["Exceeds maximum queue size", "7", "iris"],
  );
  const unreadable = stream.writeFailure?.(failure("bad_request", "no"), rpcCall(new Uint8Array([0xff])));
  assert.equal(inference.ModelStreamInferResponse.decode(Buffer.concat(unreadable ?? [])).errorMessage, "no");
});

test("wrong requests, each with what was expected", async () => {
  const cases: readonly (readonly [inference.ModelInferRequest.$Properties, RegExp])[] = [
    [{ modelName: "iris" }, /bad_request Expected tensors in "inputs", got none/],
    [
      { ...rawRequest, rawInputContents: [raw, raw] },
      /bad_request Expected one entry in raw_input_contents for each of the 1 inputs, got 2/,
    ],
    [
      { ...rawRequest, inputs: [{ ...shape, contents: {} }] },
      /bad_request Input "x": expected contents or raw_input_contents, got both/,
    ],
    [
      { ...rawRequest, inputs: [{ ...shape, datatype: "FLOAT" }] },
      /invalid_tensor Input "x": expected a v2 datatype such as FP32, got "FLOAT"/,
    ],
    [
      { ...rawRequest, inputs: [{ ...shape, shape: [1, -4] }] },
      /invalid_tensor .*expected whole numbers from 0 in shape, got \[1,-4\]/,
    ],
    [
      { ...rawRequest, inputs: [{ ...shape, shape: [1, 3] }] },
      /invalid_tensor Input "x" has shape \[1,3\]; model "iris" expects \[-1,4\]/,
    ],
    [
      { ...rawRequest, rawInputContents: [raw.subarray(1)] },
      /invalid_tensor Input "x": shape \[1,4\] of FP32 needs 16 bytes, got 15/,
    ],
    [
      { modelName: "iris", inputs: [{ ...shape, contents: { fp32Contents: [1] } }] },
      /invalid_tensor .*needs 4 values in fp32_contents, got 1/,
    ],
    [
      { modelName: "iris", inputs: [{ ...shape, contents: { fp64Contents: [1, 2, 3, 4] } }] },
      /needs 4 values in fp32_contents, got 0/,
    ],
    [
      { modelName: "iris", inputs: [{ ...shape, datatype: "FP16" }] },
      /FP16 has no typed contents; send raw_input_contents/,
    ],
    [
      {
        modelName: "iris",
        inputs: [{ ...shape, datatype: "INT8", contents: { intContents: [1, 2, 3, 128] } }],
      },
      /from -128 to 127 for INT8 at element 3, got 128/,
    ],
    [
      { ...rawRequest, inputs: [{ ...shape, parameters: { shared_memory_region: { stringParam: "r" } } }] },
      /unimplemented Shared memory is not offered/,
    ],
    [
      { ...rawRequest, parameters: { sequence_id: { int64Param: 5 } } },
      /unimplemented Sequences are not offered/,
    ],
    [{ ...rawRequest, outputs: [{ name: "q" }] }, /invalid_tensor Output "q" is unknown/],
  ];
  for (const [fields, message] of cases) assert.match(await refused(fields), message);
  const { failure: reason } = await call("ModelInfer", new Uint8Array([0x0a, 0xff]));
  assert.match(reason?.message ?? "", /not a valid ModelInferRequest/);
});

test("health, metadata, configuration and statistics", async () => {
  const some = { count: 4, ns: 4_000_000.4 };
  const entry = {
    name: "iris",
    version: "1",
    lastInferenceMs: 1_700_000_000_000.5,
    inferenceCount: 8,
    executionCount: 2,
    success: some,
    fail: some,
    queue: some,
    computeInput: some,
    computeInfer: some,
    computeOutput: some,
    batches: [{ size: 4, compute: some }],
  };
  const { call: ask } = start({ statistics: [entry] });
  const body = async (name: string, message?: Uint8Array) => bodyOf((await ask(name, message)).answer);
  assert.equal(inference.ServerLiveResponse.decode(await body("ServerLive")).live, true);
  assert.equal(inference.ServerReadyResponse.decode(await body("ServerReady")).ready, true);
  const named = inference.ModelReadyRequest.encode({ name: "iris" }).finish();
  assert.equal(inference.ModelReadyResponse.decode(await body("ModelReady", named)).ready, true);
  const unknown = inference.ModelReadyRequest.encode({ name: "nope" }).finish();
  assert.equal(inference.ModelReadyResponse.decode(await body("ModelReady", unknown)).ready, false);
  assert.equal(inference.ServerMetadataResponse.decode(await body("ServerMetadata")).name, "spillway");
  const metadata = inference.ModelMetadataResponse.decode(await body("ModelMetadata", named));
  assert.deepEqual([metadata.versions, metadata.inputs[0]?.shape], [["1"], [-1, 4]]);
  const { config } = inference.ModelConfigResponse.decode(await body("ModelConfig", named));
  assert.deepEqual(
    [config?.maxBatchSize, config?.input?.[0]?.dataType, config?.input?.[0]?.dims],
    [8, 11, [4]],
  );
  assert.deepEqual([config?.instanceGroup?.[0]?.count, config?.dynamicBatching !== undefined], [2, true]);
  const { modelStats } = inference.ModelStatisticsResponse.decode(await body("ModelStatistics"));
  assert.deepEqual(
    [
      modelStats[0]?.inferenceCount,
      modelStats[0]?.inferenceStats?.queue?.ns,
      modelStats[0]?.batchStats?.[0]?.batchSize,
    ],
    [8, 4_000_000, 4],
  );
  for (const name of ["ModelMetadata", "ModelConfig", "ModelStatistics"])
    assert.equal((await ask(name, unknown)).failure?.code, "model_not_found", name);
});

test("the repository: index, load and unload", async () => {
  const {
    call: ask,
    catalog,
    methods: own,
  } = start({ changes: { bad: failure("model_load_failed", "no graph") } });
  const index = inference.RepositoryIndexResponse.decode(bodyOf((await ask("RepositoryIndex")).answer));
  assert.deepEqual(
    index.models.map(({ name, version, state }) => [name, version, state]),
    [["iris", "1", "READY"]],
  );
  const load = (modelName: string, parameters = {}) =>
    ask(
      "RepositoryModelLoad",
      inference.RepositoryModelLoadRequest.encode({ modelName, parameters }).finish(),
    );
  assert.equal(bodyOf((await load("iris")).answer).length, 0);
  assert.equal((await load("bad")).failure?.message, "no graph");
  assert.equal((await load("../x")).failure?.code, "bad_request");
  assert.equal((await load("iris", { config: { stringParam: "{}" } })).failure?.code, "unimplemented");
  const unload = inference.RepositoryModelUnloadRequest.encode({ modelName: "iris" }).finish();
  assert.equal(bodyOf((await ask("RepositoryModelUnload", unload)).answer).length, 0);
  assert.deepEqual(catalog.asked, ["load iris", "load bad", "unload iris"]);
  for (const name of ["RepositoryModelLoad", "RepositoryModelUnload"])
    assert.equal(methodNamed(own, name).scope, "admin");
});

test("every declared method of the service is there, and what is not offered says so", async () => {
  const paths = declared
    .map((method) => method.path)
    .filter((path) => path.startsWith("/inference.GRPCInferenceService/"));
  assert.deepEqual(methods.map((method) => method.path).toSorted(), paths.toSorted());
  for (const name of [
    "SystemSharedMemoryRegister",
    "CudaSharedMemoryStatus",
    "TraceSetting",
    "LogSettings",
  ]) {
    const { failure: reason } = await call(name);
    assert.equal(reason?.code, "unimplemented", name);
    assert.match(reason.message, /not offered/);
  }
});
