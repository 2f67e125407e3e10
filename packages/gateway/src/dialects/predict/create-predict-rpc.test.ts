/** `ModelInference/Predict`: the public contract, byte by field, and which failures are answers. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { inference } from "@spillway/protocol";
import { createManualClock } from "../../testing.ts";
import {
  bodyOf,
  floats,
  headerOf,
  irisTask,
  rpcCall,
  serve,
  testModel,
} from "../../../test/support/dialect-calls.ts";
import { errorTable, failure, type ErrorCode } from "../../core/errors.ts";
import { JsonThreads } from "../json/json-threads.ts";
import { createPredictRpc } from "./create-predict-rpc.ts";

const clock = createManualClock();
const jsonThreads = new JsonThreads({ clock });
after(() => jsonThreads.close());

const [method] = createPredictRpc({
  clock,
  predict: { featuresModel: "iris", promptModel: undefined },
  defaults: { requestTimeoutMs: 10_000 },
  jsonThreads,
});

function predict(
  fields: inference.PredictRequest.$Properties | Uint8Array,
  model = testModel({ task: irisTask }),
) {
  assert.ok(method);
  const message = fields instanceof Uint8Array ? fields : inference.PredictRequest.encode(fields).finish();
  return serve(method.handle(rpcCall(message, { timeoutMs: 500 })), model, () => [
    floats("y", [1, 3], [0.125, 0.75, 0.125]),
  ]);
}

test("features in, class and confidence out", async () => {
  const { answer, request, bound } = await predict({ features: [5.1, 3.5, 1.4, 0.2], modelName: "iris" });
  const response = inference.PredictResponse.decode(bodyOf(answer));
  assert.deepEqual([response.classId, response.confidence, response.error], [1, 0.75, ""]);
  assert.deepEqual([request?.model, request?.deadline], ["iris", 1500]);
  assert.deepEqual(bound?.inputs, [floats("x", [1, 4], [5.1, 3.5, 1.4, 0.2])]);
});

test("the default model, and a mock that says so beside the message", async () => {
  const { request, answer } = await predict(
    { features: [1, 2, 3, 4] },
    testModel({ task: irisTask, mock: true }),
  );
  assert.equal(request?.model, "iris");
  assert.equal(headerOf(answer, "x-spillway-mock"), "true");
});

test("wrong requests, each with what was expected", async () => {
  const cases: readonly (readonly [inference.PredictRequest.$Properties | Uint8Array, RegExp])[] = [
    [{}, /Expected exactly one of "features" and "prompt", got none/],
    [{ features: [1], prompt: "a" }, /got both/],
    [{ features: [1, 2] }, /Model "iris" expects 4 features .*, got 2/],
    [{ prompt: "a" }, /"model_name" is missing, and there is no default model for prompt/],
    [{ features: [1, Number.NaN, 3, 4] }, /"features": expected a finite number at place 1, got NaN/],
    [{ features: Array(300_000).fill(1) }, /Predict takes up to 1048576 bytes/],
    [new Uint8Array([0xff]), /not a valid PredictRequest/],
  ];
  for (const [fields, message] of cases) {
    const { failure: reason } = await predict(fields);
    assert.match(reason?.message ?? "", message);
    const pieces = method?.writeFailure?.(failure("bad_request", reason?.message), rpcCall(new Uint8Array()));
    const response = inference.PredictResponse.decode(Buffer.concat(pieces ?? []));
    assert.deepEqual([response.classId, response.confidence, response.error], [-1, 0, reason?.message]);
  }
});

test("what the request or the model is to blame for is an answer, what the service is to blame for a status", () => {
  const answered = (Object.keys(errorTable) as ErrorCode[]).filter(
    (code) => method?.writeFailure?.(failure(code), rpcCall(new Uint8Array())) !== undefined,
  );
  assert.deepEqual(answered.toSorted(), [
    "bad_request",
    "body_too_large",
    "invalid_image",
    "invalid_json",
    "invalid_tensor",
    "model_crashed",
    "model_failed",
    "model_load_failed",
    "model_not_found",
    "unsupported_media_type",
    "version_not_found",
  ]);
});
