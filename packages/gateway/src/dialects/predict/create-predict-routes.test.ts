/** `POST /predict`: every way to ask, the answer as documented, and each refusal with what was expected. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { createManualClock } from "../../testing.ts";
import {
  floats,
  headerOf,
  httpCall,
  irisTask,
  jsonOf,
  serve,
  testModel,
  type Answerer,
} from "../../../test/support/dialect-calls.ts";
import type { HttpCall } from "../../contracts/route.ts";
import { errorTable } from "../../core/errors.ts";
import { JsonThreads } from "../json/json-threads.ts";
import { encodeTexts } from "../tensors/encode-texts.ts";
import { pictureTensor } from "../tensors/picture.ts";
import { createPredictRoutes } from "./create-predict-routes.ts";

const clock = createManualClock();
clock.advance(1012.3456);
const jsonThreads = new JsonThreads({ clock });
after(() => jsonThreads.close());

const [route] = createPredictRoutes({
  clock,
  predict: { featuresModel: "iris", promptModel: "sentiment" },
  defaults: { requestTimeoutMs: 10_000 },
  jsonThreads,
});
const iris = testModel({ task: irisTask });
const sentiment = testModel({
  name: "sentiment",
  inputs: [{ name: "prompt", datatype: "BYTES", shape: [-1] }],
  mapping: { features: undefined, prompt: "prompt", image: undefined },
  task: { ...irisTask, labels: ["negative", "positive", "neutral"] },
});
const digits = testModel({ name: "digits", mapping: { features: "x", prompt: undefined, image: "image" } });
const png = Buffer.concat([Buffer.from("\u0089PNG\r\n\u001a\n", "latin1"), Buffer.alloc(100, 1)]);
const scores: Answerer = () => [floats("y", [1, 3], [0.97, 0.02, 0.01])];

function predict(body: unknown, changes: Partial<HttpCall> = {}, model = iris) {
  assert.ok(route);
  return serve(route.handle(httpCall(body, changes)), model, scores);
}

async function refused(body: unknown, changes: Partial<HttpCall> = {}, model = iris): Promise<string> {
  const { failure } = await predict(body, changes, model);
  assert.ok(failure && route, "expected a refusal");
  const answer = route.writeFailure(failure, "request-1");
  const { error, code } = jsonOf(answer) as { error: string; code: string };
  assert.deepEqual(jsonOf(answer), { error, code });
  assert.deepEqual([code, answer.status], [failure.code, errorTable[failure.code].http]);
  return `${answer.status} ${code} ${error}`;
}

test("features of the default model", async () => {
  const { answer, request, bound } = await predict({ features: [5.1, 3.5, 1.4, 0.2] });
  assert.deepEqual(jsonOf(answer), {
    class_id: 0,
    confidence: 0.97,
    error: "",
    label: "setosa",
    model_name: "iris",
    model_version: "1",
    latency_ms: 12.346,
  });
  assert.deepEqual([request?.model, request?.version], ["iris", undefined]);
  assert.deepEqual(bound?.inputs, [floats("x", [1, 4], [5.1, 3.5, 1.4, 0.2])]);
  assert.equal(bound?.shapeKey, "");
  assert.equal(headerOf(answer, "server-timing"), 'queue;dur=0.25, compute;dur=1.5, batch;desc="3"');
});

test("a named model and version, a prompt, a mock", async () => {
  const named = await predict({ features: [1, 2, 3, 4], model_name: "other", model_version: 3 });
  assert.deepEqual([named.request?.model, named.request?.version], ["other", "3"]);
  const text = await predict({ prompt: "I love it" }, {}, sentiment);
  assert.equal(text.request?.model, "sentiment");
  assert.deepEqual(text.bound?.inputs, [
    { name: "prompt", datatype: "BYTES", shape: [1], data: encodeTexts(["I love it"]) },
  ]);
  const mock = await predict({ features: [1, 2, 3, 4], model_name: "" }, {}, testModel({ mock: true }));
  assert.deepEqual([mock.request?.model, (jsonOf(mock.answer) as { mock: unknown }).mock], ["iris", true]);
});

test("a picture as the body, as base64 and as a data URL", async () => {
  const expected = [pictureTensor("image", [png])];
  const query = "model_name=digits&model_version=2";
  for (const headers of [
    { "content-type": "image/png" },
    { "content-type": "application/x-www-form-urlencoded" },
    {},
  ]) {
    const { bound, request } = await predict(png, { query, headers }, digits);
    assert.deepEqual(bound?.inputs, expected);
    assert.deepEqual([request?.model, request?.version], ["digits", "2"]);
  }
  const base64 = png.toString("base64");
  for (const image of [base64, `data:image/png;base64,${base64}`])
    assert.deepEqual((await predict({ image, model_name: "digits" }, {}, digits)).bound?.inputs, expected);
});

test("a picture too large to be parsed in place", async () => {
  const large = Buffer.concat([png, Buffer.alloc(400_000, 7)]);
  const { bound } = await predict({ image: large.toString("base64"), model_name: "digits" }, {}, digits);
  assert.deepEqual(
    bound?.inputs.map((input) => ({ ...input, data: Buffer.from(input.data) })),
    [{ ...pictureTensor("image", [large]), data: Buffer.from(pictureTensor("image", [large]).data) }],
  );
});

test("features fill the shape the model has", async () => {
  const shapeOf = async (count: number, shape: readonly number[], batchable = true) => {
    const model = testModel({ inputs: [{ name: "x", datatype: "FP32", shape }], batchable });
    return (await predict({ features: Array(count).fill(1) }, {}, model)).bound?.inputs[0]?.shape;
  };
  assert.deepEqual(await shapeOf(64, [-1, 8, 8, 1]), [1, 8, 8, 1]);
  assert.deepEqual(await shapeOf(6, [-1, -1]), [1, 6]);
  assert.deepEqual(await shapeOf(6, [-1, -1, 3]), [1, 2, 3]);
  assert.deepEqual(await shapeOf(4, [4], false), [4]);
  assert.deepEqual(await shapeOf(8, [-1, 4], false), [2, 4]);
  assert.deepEqual(await shapeOf(1, [-1]), [1]);
});

test("features become the datatype the model has, if they fit", async () => {
  const model = testModel({ inputs: [{ name: "x", datatype: "INT64", shape: [-1, 2] }] });
  const { bound } = await predict({ features: [1, -2] }, {}, model);
  assert.deepEqual(
    new BigInt64Array(bound?.inputs[0]?.data.slice().buffer ?? new ArrayBuffer()),
    BigInt64Array.of(1n, -2n),
  );
  assert.match(
    await refused({ features: [1.5, 2] }, {}, model),
    /^400 invalid_tensor .*expected a whole number .* for INT64 at element 0, got 1.5/,
  );
  assert.match(
    await refused({ features: [1e39, 1, 1, 1] }),
    /^400 invalid_tensor .*within range for FP32 at element 0, got 1e\+39/,
  );
});

test("wrong requests, each with what was expected", async () => {
  const cases: readonly (readonly [unknown, RegExp])[] = [
    ["", /^400 invalid_json The body is empty/],
    ["{", /^400 invalid_json The body is not valid JSON/],
    ['{"features":[NaN]}', /^400 invalid_json .*NaN and Infinity are no JSON numbers/],
    ["[".repeat(200_000), /^400 invalid_json The JSON nests deeper than 64 levels/],
    [
      [1, 2],
      /^400 bad_request Expected a JSON object with "features", "prompt" or "image", got an array of 2/,
    ],
    [{}, /^400 bad_request Expected exactly one of "features", "prompt" and "image", got none/],
    [{ features: [1], prompt: "a" }, /^400 bad_request Expected exactly one of .*, got features and prompt/],
    [
      { feature: [1] },
      /^400 bad_request Unknown member "feature"; known are features, prompt, image, model_name, model_version/,
    ],
    [{ features: [] }, /^400 bad_request "features": expected a flat list of numbers, got an array of 0/],
    [{ features: "1,2" }, /^400 bad_request "features": expected a flat list of numbers, got "1,2"/],
    [{ features: [1, [2]] }, /^400 bad_request "features": expected a number at place 1, got an array of 1/],
    [{ features: [1, null] }, /^400 bad_request "features": expected a number at place 1, got null/],
    [
      { features: [1, 2, 3] },
      /^400 invalid_tensor Model "iris" expects 4 features \(x FP32 \[-1,4\]\), got 3/,
    ],
    [{ prompt: "" }, /^400 bad_request "prompt": expected a text, got an empty one/],
    [{ prompt: 5 }, /^400 bad_request "prompt": expected a string, got 5/],
    [{ prompt: "hello" }, /^400 bad_request Model "iris" does not take a prompt; it takes features/],
    [{ features: [1], model_name: 5 }, /^400 bad_request "model_name": expected a string, got 5/],
    [
      { features: [1], model_version: {} },
      /^400 bad_request "model_version": expected a string, got an object/,
    ],
    [{ image: "AAAA" }, /^400 invalid_image Expected a picture of type image\/jpeg, image\/png, image\/webp/],
    [{ image: "no base64!" }, /^400 invalid_image "image": expected a picture in base64/],
    [
      { image: png.toString("base64") },
      /^400 bad_request "model_name" is missing, and there is no default model for image/,
    ],
  ];
  for (const [body, message] of cases) assert.match(await refused(body), message);
  const free = testModel({ inputs: [{ name: "x", datatype: "FP32", shape: [-1, -1, 3] }] });
  assert.match(await refused({ features: [1, 2] }, {}, free), /expects a multiple of 3 features .*, got 2/);
  const tensors = testModel({ mapping: { features: undefined, prompt: undefined, image: undefined } });
  assert.match(
    await refused({ features: [1] }, {}, tensors),
    /does not take features; it takes tensors only: x FP32 \[-1,4\]/,
  );
  const gif = { headers: { "content-type": "image/gif" } };
  assert.match(await refused(Buffer.from("GIF89a"), gif), /^415 unsupported_media_type .*got image\/gif/);
  const jpeg = { headers: { "content-type": "image/jpeg" } };
  assert.match(await refused(Buffer.from("no picture"), jpeg), /^400 invalid_image/);
});
