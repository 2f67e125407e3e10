/** Damaged requests of every dialect: a reader answers with a request or a refusal, and never throws. Seeded. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { inference } from "@spillway/protocol";
import { floats, testModel } from "../../test/support/dialect-calls.ts";
import { isFailure, type Failure } from "../core/errors.ts";
import { defaultJsonLimits } from "./json/scan-json.ts";
import { createInferPayload, createRawPayload } from "./kserve/infer-payload.ts";
import { readInferBody } from "./kserve/read-infer.ts";
import { readRpcInfer } from "./kserve/read-rpc-infer.ts";
import { weighRpcInfer } from "./kserve/weigh-rpc-infer.ts";
import { JsonThreads } from "./json/json-threads.ts";
import { createManualClock } from "../testing.ts";
import { readPredictBody } from "./predict/read-predict.ts";
import { bindTensors } from "./tensors/bind-tensors.ts";
import { plainTensor } from "./tensors/plain-inputs.ts";
import { bindColumns } from "./tfserving/bind-columns.ts";
import { readInstances } from "./tfserving/read-instances.ts";

const limits = defaultJsonLimits;
const threads = new JsonThreads({ clock: createManualClock() });
const models = [
  testModel({ mapping: { features: "x", prompt: undefined, image: "image" } }),
  testModel({ inputs: [{ name: "x", datatype: "INT64", shape: [-1, -1] }] }),
  testModel({
    inputs: [{ name: "x", datatype: "BYTES", shape: [-1] }],
    mapping: { features: undefined, prompt: "x", image: undefined },
  }),
  testModel({ inputs: [{ name: "x", datatype: "BOOL", shape: [] }], batchable: false }),
  testModel({ inputs: [] }),
];

/** Numerical Recipes' generator: the same damage in every run. */
function createRandom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

const pieces = [
  "[",
  "]",
  "{",
  "}",
  '"',
  ",",
  ":",
  "null",
  "true",
  "-1",
  "1e999",
  "9007199254740993",
  "[[[[",
  '"b64"',
  "0",
  "\\u0000",
  "NaN",
];

/** Cuts, flips, doubles or replaces a piece of the bytes. */
function damage(bytes: Uint8Array, random: (below: number) => number): Uint8Array {
  const at = random(bytes.length + 1);
  const rest = bytes.subarray(Math.min(bytes.length, at + random(6)));
  switch (random(4)) {
    case 0:
      return bytes.slice(0, at);
    case 1:
      return Buffer.concat([bytes.subarray(0, at), Buffer.from(pieces[random(pieces.length)] ?? ""), rest]);
    case 2:
      return Buffer.concat([bytes.subarray(0, at), Uint8Array.of(random(256)), rest]);
    default:
      return Buffer.concat([bytes, bytes.subarray(at)]);
  }
}

/** Damages each sample once to three times and hands it to the reader. */
function check(
  samples: readonly Uint8Array[],
  read: (bytes: Uint8Array, random: (below: number) => number) => (Failure | object)[],
): void {
  const random = createRandom(7);
  let refused = 0;
  let taken = 0;
  for (let round = 0; round < 4000; round++) {
    let bytes = samples[random(samples.length)] ?? new Uint8Array();
    for (let times = random(3); times >= 0; times--) bytes = damage(bytes, random);
    for (const result of read(bytes, random)) {
      if (!isFailure(result)) taken++;
      else {
        refused++;
        assert.ok(result.message.length > 0 && result.message.length < 2000, result.message);
      }
    }
  }
  assert.ok(refused > 100 && taken > 10, `${refused} refused, ${taken} taken`);
}

function json(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}

test("v2 over HTTP, with binary tensors and raw", () => {
  const binary = json({
    inputs: [{ name: "x", shape: [1, 4], datatype: "FP32", parameters: { binary_data_size: 16 } }],
  });
  const samples = [
    json({
      id: "1",
      parameters: { priority: 1 },
      inputs: [{ name: "x", shape: [1, 4], datatype: "FP32", data: [[1, 2, 3, 4]] }],
    }),
    json({
      inputs: [{ name: "x", shape: [2], datatype: "BYTES", data: ["a", { b64: "AQID" }] }],
      outputs: [{ name: "y", parameters: { classification: 1 } }],
    }),
    json({ inputs: [{ name: "x", shape: [1, 2], datatype: "INT64", data: [1, 2] }] }),
    Buffer.concat([binary, new Uint8Array(16)]),
  ];
  check(samples, (body, random) => {
    const jsonLength = random(2) === 0 ? body.length : Math.min(body.length, binary.length);
    const request = readInferBody({ body, jsonLength }, limits);
    const raw = models.map((model) => createRawPayload(body, threads).bind(model));
    return isFailure(request)
      ? [request, ...raw]
      : [...raw, ...models.map((model) => createInferPayload(request, threads).bind(model))];
  });
});

test("v2 over gRPC", () => {
  const x = { name: "x", datatype: "FP32", shape: [1, 4] };
  const samples = [
    { modelName: "m", inputs: [x], rawInputContents: [floats("x", [1, 4], [1, 2, 3, 4]).data] },
    {
      modelName: "m",
      id: "1",
      inputs: [{ ...x, contents: { fp32Contents: [1, 2, 3, 4] } }],
      parameters: { priority: { int64Param: 1 } },
    },
    {
      inputs: [{ ...x, datatype: "BYTES", shape: [1], contents: { bytesContents: [new Uint8Array(3)] } }],
      outputs: [{ name: "y" }],
    },
  ].map((fields) => inference.ModelInferRequest.encode(fields).finish());
  check(samples, (body) => {
    weighRpcInfer(body, 1000);
    const request = readRpcInfer({ body });
    if (isFailure(request)) return [request];
    return models.map((model) =>
      bindTensors(model, { inputs: request.inputs, outputs: request.outputs?.map(({ name }) => name) }),
    );
  });
});

test("/predict", () => {
  const samples = [
    json({ features: [5.1, 3.5, 1.4, 0.2], model_name: "iris", model_version: 1 }),
    json({ prompt: "I love it" }),
    json({ image: Buffer.from([0xff, 0xd8, 0xff, 0]).toString("base64") }),
  ];
  check(samples, (body) => {
    const request = readPredictBody({ body }, limits);
    return isFailure(request) ? [request] : models.map((model) => plainTensor(model, request.input));
  });
});

test(":predict", () => {
  const samples = [
    json({
      instances: [
        [1, 2, 3, 4],
        [5, 6, 7, 8],
      ],
    }),
    json({ instances: [{ x: [1, 2, 3, 4] }], signature_name: "serving_default" }),
    json({ inputs: { x: [["a", { b64: "AQID" }]] } }),
    json({ inputs: [true, false] }),
  ];
  check(samples, (body) => {
    const request = readInstances({ body }, limits);
    return isFailure(request) ? [request] : models.map((model) => bindColumns(model, request.columns));
  });
});
