import assert from "node:assert/strict";
import { test } from "node:test";
import protobuf from "protobufjs";
import {
  buildBodies,
  grpcInferMessage,
  grpcPredictMessage,
  tensorValues,
  v2BinaryBody,
  v2JsonBody,
} from "./bodies.ts";

test("tensor values repeat for a seed and lie in [-1, 1)", () => {
  const values = tensorValues([4, 16], 9);
  assert.equal(values.length, 64);
  assert.deepEqual(tensorValues([4, 16], 9), values);
  assert.ok(values.every((value) => value >= -1 && value < 1));
  assert.notDeepEqual(tensorValues([4, 16], 10), values);
});

test("a v2 JSON body parses back to the values", () => {
  const values = tensorValues([1, 8], 1);
  const { bytes, headers } = v2JsonBody("x", [1, 8], values);
  const parsed = JSON.parse(bytes.toString()) as { inputs: { data: number[] }[] };
  assert.deepEqual(parsed, {
    inputs: [{ name: "x", shape: [1, 8], datatype: "FP32", data: Array.from(values) }],
  });
  assert.deepEqual(headers, { "Content-Type": "application/json" });
});

test("a v2 binary body is the JSON header of the stated length and little-endian floats", () => {
  const values = tensorValues([1, 8], 1);
  const { bytes, headers } = v2BinaryBody("x", [1, 8], values);
  const headerLength = Number(headers["Inference-Header-Content-Length"]);
  assert.deepEqual(JSON.parse(bytes.subarray(0, headerLength).toString()), {
    inputs: [{ name: "x", shape: [1, 8], datatype: "FP32", parameters: { binary_data_size: 32 } }],
    parameters: { binary_data_output: true },
  });
  const floats = Array.from({ length: 8 }, (_, index) => bytes.readFloatLE(headerLength + index * 4));
  assert.deepEqual(floats, Array.from(values));
  assert.equal(bytes.length, headerLength + 32);
});

test("variants differ in values only", () => {
  const bodies = buildBodies({ kind: "v2-binary", input: "x", shape: [1, 4], seed: 5, variants: 3 });
  assert.equal(new Set(bodies.map((body) => body.bytes.toString("hex"))).size, 3);
  assert.equal(new Set(bodies.map((body) => body.bytes.length)).size, 1);
});

test("gRPC messages are what a protobuf library reads", () => {
  const root = protobuf.parse(SCHEMA).root;
  const values = tensorValues([2, 3], 4);
  const infer = root
    .lookupType("ModelInferRequest")
    .decode(grpcInferMessage("m", "x", [2, 3], values))
    .toJSON();
  const raw = Buffer.from(values.buffer).toString("base64");
  assert.deepEqual(infer, {
    modelName: "m",
    inputs: [{ name: "x", datatype: "FP32", shape: ["2", "3"] }],
    rawInputContents: [raw],
  });
  const predict = root.lookupType("PredictRequest").decode(grpcPredictMessage(values, "m")).toJSON();
  assert.deepEqual(predict, { features: Array.from(values), modelName: "m" });
});

const SCHEMA = `
  syntax = "proto3";
  message InferInputTensor { string name = 1; string datatype = 2; repeated int64 shape = 3; }
  message ModelInferRequest {
    string model_name = 1;
    repeated InferInputTensor inputs = 5;
    repeated bytes raw_input_contents = 7;
  }
  message PredictRequest { repeated float features = 1; string model_name = 2; string prompt = 3; }
`;
