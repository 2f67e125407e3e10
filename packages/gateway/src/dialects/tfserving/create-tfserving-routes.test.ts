/** v1 `:predict` in rows, columns and pictures, and the model listing. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { encodeBytesElements } from "@spillway/protocol/tensors";
import { createManualClock } from "../../testing.ts";
import {
  floats,
  httpCall,
  irisTask,
  jsonOf,
  routeAt,
  serve,
  testCatalog,
  testModel,
  type Answerer,
} from "../../../test/support/dialect-calls.ts";
import type { PooledModel } from "../../contracts/http-endpoint.ts";
import type { WireAnswer } from "../../core/request.ts";
import { errorTable, failure } from "../../core/errors.ts";
import type { Tensor } from "../../core/tensor.ts";
import { JsonThreads } from "../json/json-threads.ts";
import { encodeTexts } from "../tensors/encode-texts.ts";
import { pictureTensor } from "../tensors/picture.ts";
import { createTfServingRoutes } from "./create-tfserving-routes.ts";

const clock = createManualClock();

function pooled(name: string, card: Record<string, unknown>): PooledModel {
  return { name, pool: "chat", dialects: ["openai"], ready: 1, endpoints: 1, loaded: 1, card, running: [] };
}
const jsonThreads = new JsonThreads({ clock });
after(() => jsonThreads.close());

const iris = testModel({ task: irisTask });
const plain = testModel({ inputs: [{ name: "x", datatype: "FP32", shape: [-1, -1] }] });
const deps = {
  catalog: testCatalog({ models: [iris, testModel({ version: "2" }), testModel({ name: "mock" })] }),
  pooled: () => [],
  clock,
  defaults: { requestTimeoutMs: 10_000 },
  jsonThreads,
};
const routes = createTfServingRoutes(deps);
const route = routeAt(routes, "POST", "/v1/models/{model}:predict");
const echo: Answerer = (bound) =>
  bound.inputs.map((input, index) => ({ ...input, name: index === 0 ? "y" : "z" }));
const scores: Answerer = (bound) => [
  floats("y", [bound.rows, 3], Array.from({ length: bound.rows }, () => [0.1, 0.7, 0.2]).flat()),
];

function predict(body: unknown, model = plain, answerer: Answerer = echo) {
  return serve(route.handle(httpCall(body)), model, answerer);
}

async function refused(body: unknown, model = plain): Promise<string> {
  const { failure } = await predict(body, model);
  assert.ok(failure, "expected a refusal");
  const answer = route.writeFailure(failure, "request-1");
  const { error } = jsonOf(answer) as { error: string };
  assert.deepEqual(jsonOf(answer), { error });
  assert.equal(answer.status, errorTable[failure.code].http);
  return `${answer.status} ${error}`;
}

const picture = Buffer.concat([Buffer.from([0xff, 0xd8, 0xff, 0xe0]), Buffer.alloc(20, 2)]);
const b64 = { b64: picture.toString("base64") };
const digits = testModel({ mapping: { features: "x", prompt: undefined, image: "image" }, task: irisTask });

test("rows of a classifier are answered with classes", async () => {
  const { answer, request } = await predict(
    {
      instances: [
        [1, 2, 3, 4],
        [5, 6, 7, 8],
      ],
    },
    iris,
    scores,
  );
  const row = { class_id: 1, label: "versicolor", confidence: 0.7, scores: [0.1, 0.7, 0.2] };
  assert.deepEqual(jsonOf(answer), { predictions: [row, row] });
  assert.deepEqual([request?.model, request?.version, request?.deadline], ["iris", undefined, 11_000]);
  const versioned = routeAt(routes, "POST", "/v1/models/{model}/versions/{version}:predict");
  const call = httpCall({ instances: [[1, 2, 3, 4]] }, { params: { model: "iris", version: "2" } });
  assert.equal((await serve(versioned.handle(call), iris, scores)).request?.version, "2");
});

test("rows of other models are answered with their tensors", async () => {
  const { answer } = await predict({
    instances: [
      [0.1, 2],
      [3, 4],
    ],
  });
  assert.deepEqual(jsonOf(answer), {
    predictions: [
      [0.1, 2],
      [3, 4],
    ],
  });
  const scalars = testModel({ inputs: [{ name: "x", datatype: "INT64", shape: [-1] }], mock: true });
  const wide = await predict('{"instances":[1,9007199254740993]}', scalars);
  assert.equal(
    Buffer.concat(wide.answer?.body ?? []).toString(),
    '{"mock":true,"predictions":[1,9007199254740993]}\n',
  );
});

test("named inputs and several outputs", async () => {
  const two = testModel({
    inputs: [
      { name: "a", datatype: "FP32", shape: [-1, 2] },
      { name: "t", datatype: "BYTES", shape: [-1] },
    ],
  });
  const rows = await predict(
    {
      instances: [
        { a: [1, 2], t: "x" },
        { t: "y", a: [3, 4] },
      ],
    },
    two,
  );
  assert.deepEqual(jsonOf(rows.answer), {
    predictions: [
      { y: [1, 2], z: "x" },
      { y: [3, 4], z: "y" },
    ],
  });
  const columns = await predict(
    {
      inputs: {
        a: [
          [1, 2],
          [3, 4],
        ],
        t: ["x", "y"],
      },
    },
    two,
  );
  assert.deepEqual(jsonOf(columns.answer), {
    outputs: {
      y: [
        [1, 2],
        [3, 4],
      ],
      z: ["x", "y"],
    },
  });
  assert.match(
    await refused(
      { instances: [[1, 2]] },
      testModel({ ...two, mapping: { features: undefined, prompt: undefined, image: undefined } }),
    ),
    /^400 Model "iris" has several inputs; name them: a FP32 \[-1,2\], t BYTES \[-1\]/,
  );
});

test("columns without a name go to the only input", async () => {
  const { answer } = await predict({ inputs: [[1, 2, 3, 4]], signature_name: "serving_default" }, iris);
  assert.deepEqual(jsonOf(answer), { outputs: [[1, 2, 3, 4]] });
});

test("a flat row fits a model that takes it in more dimensions", async () => {
  const image = testModel({ inputs: [{ name: "x", datatype: "UINT8", shape: [-1, 2, 2, 1] }] });
  const { bound } = await predict(
    {
      instances: [
        [1, 2, 3, 4],
        [5, 6, 7, 8],
      ],
    },
    image,
  );
  assert.deepEqual(bound?.inputs[0]?.shape, [2, 2, 2, 1]);
  const single = testModel({ inputs: [{ name: "x", datatype: "FP32", shape: [4] }], batchable: false });
  assert.deepEqual((await predict({ instances: [[1, 2, 3, 4]] }, single)).bound?.inputs[0]?.shape, [4]);
  assert.match(
    await refused(
      {
        instances: [
          [1, 2, 3, 4],
          [1, 2, 3, 4],
        ],
      },
      single,
    ),
    /has shape \[2,4\]; model "iris" expects \[4\]/,
  );
});

test("pictures: a bare body, b64 instances, named instances", async () => {
  const one = pictureTensor("image", [picture]);
  const plainData = (inputs: readonly Tensor[] | undefined) =>
    inputs?.map((input) => ({ ...input, data: Buffer.from(input.data) }));
  const expected = plainData([one]);
  for (const body of [picture, { instances: [b64] }, { instances: [{ image: b64 }] }]) {
    const { bound, answer } = await predict(body, digits, scores);
    assert.deepEqual(plainData(bound?.inputs), expected);
    assert.equal((jsonOf(answer) as { predictions: unknown[] }).predictions.length, 1);
  }
  assert.equal((await predict({ instances: [b64, b64] }, digits, scores)).bound?.rows, 2);
  assert.match(
    await refused({ instances: [b64, { b64: "AAAA" }] }, digits),
    /^400 .*expects pictures of type .*; value 1 is none/,
  );
  assert.match(await refused({ instances: ["text"] }, digits), /^400 .*value 0 is none/);
});

test("BYTES that are no text come back as b64, booleans as booleans", async () => {
  const bytes = testModel({ inputs: [{ name: "x", datatype: "BYTES", shape: [-1] }] });
  const { answer, bound } = await predict({ instances: ["grün", { b64: "//4=" }] }, bytes);
  assert.deepEqual(jsonOf(answer), { predictions: ["grün", { b64: "//4=" }] });
  assert.deepEqual(
    Buffer.from(bound?.inputs[0]?.data ?? []),
    Buffer.from(encodeBytesElements([Buffer.from("grün"), Buffer.from([255, 254])])),
  );
  const flags = testModel({ inputs: [{ name: "x", datatype: "BOOL", shape: [-1, 2] }] });
  assert.deepEqual(jsonOf((await predict({ instances: [[true, false]] }, flags)).answer), {
    predictions: [[true, false]],
  });
  const texts = { ...bytes, mapping: { features: undefined, prompt: "x", image: "image" } };
  assert.deepEqual((await predict({ instances: ["hi"] }, texts)).bound?.inputs, [
    { name: "x", datatype: "BYTES", shape: [1], data: encodeTexts(["hi"]) },
  ]);
});

test("large instances and large predictions go through a thread", async () => {
  const row = Array.from({ length: 40_000 }, (_, i) => Math.fround(Math.sin(i)));
  const { answer } = await predict({ instances: [row] });
  const { predictions } = jsonOf(answer) as { predictions: number[][] };
  assert.deepEqual(predictions[0]?.map(Math.fround), row);
  const classes = await predict(
    { instances: [row] },
    testModel({ ...plain, task: { ...irisTask, labels: [] } }),
  );
  const [best] = (jsonOf(classes.answer) as { predictions: { class_id: number; scores: number[] }[] })
    .predictions;
  assert.deepEqual(best?.scores.map(Math.fround), row);
  assert.equal(best.class_id, row.indexOf(Math.max(...row)));
  const columns = await predict({ inputs: [row] });
  assert.equal((jsonOf(columns.answer) as { outputs: number[][] }).outputs[0]?.length, 40_000);
});

test("wrong requests, each with what was expected", async () => {
  const cases: readonly (readonly [unknown, RegExp])[] = [
    ["", /^400 The body is empty/],
    ['{"instances":[[NaN]]}', /^400 .*NaN and Infinity are no JSON numbers/],
    ["[".repeat(200_000), /^400 The JSON nests deeper than 64 levels/],
    [
      { instances: JSON.parse("[".repeat(40) + "1" + "]".repeat(40)) as unknown },
      /^400 "instances": nests deeper than 32 levels/,
    ],
    [{}, /^400 Expected exactly one of "instances" and "inputs", got none/],
    [{ instances: [], inputs: [] }, /got both/],
    [{ instances: [] }, /^400 "instances": expected a list of at least one, got an array of 0/],
    [{ instances: 5 }, /^400 "instances": expected a list of at least one, got 5/],
    [
      { instances: [[1, 2], [3]] },
      /^400 "instances": expected arrays of one length, here 2, got an array of 1/,
    ],
    [
      {
        instances: [
          [1, 2],
          [3, [4]],
        ],
      },
      /^400 "instances": expected arrays of one depth/,
    ],
    [{ instances: [[1, "2"]] }, /^400 "instances": expected a number at value 1, got "2"/],
    [{ instances: [["a", 2]] }, /^400 "instances": expected a string or .* at value 1, got 2/],
    [{ instances: [[true, 1]] }, /^400 "instances": expected true or false at value 1, got 1/],
    [{ instances: [null] }, /^400 "instances": .*value 0, got null/],
    [
      { instances: [{ a: 1 }, { b: 1 }] },
      /^400 "instances": expected an object with "a" at place 1, got an object/,
    ],
    [{ instances: [{ a: 1 }] }, /^400 Input "a" is unknown; model "iris" takes x FP32 \[-1,-1\]/],
    [{ inputs: {} }, /^400 "inputs": expected 1 to 1024 inputs, got 0/],
    [{ instances: [["a"]] }, /^400 Input "x": the model expects FP32 \[1,1\], got texts/],
    [
      { instances: [[1]], signature_name: "other" },
      /^400 "signature_name": models have only "serving_default", got "other"/,
    ],
  ];
  for (const [body, message] of cases) assert.match(await refused(body), message);
  assert.match(
    await refused({ instances: [[1, 2, 3]] }, iris),
    /^400 Input "x" has shape \[1,3\]; model "iris" expects \[-1,4\]/,
  );
});

test("what JSON cannot carry is refused in predictions too", async () => {
  const nan: Answerer = () => [floats("y", [1, 1], [Number.NaN])];
  assert.match(
    (await predict({ instances: [[1]] }, plain, nan)).failure?.message ?? "",
    /Output "y" has NaN/,
  );
  const short: Answerer = () => [floats("y", [1, 1], [1])];
  assert.equal((await predict({ instances: [[1], [2]] }, plain, short)).failure?.code, "bad_upstream_answer");
});

test("the listing and the card of a model speak to OpenAI, KServe v1 and TF-Serving clients", async () => {
  const ask = async (path: string, params = {}) => {
    const found = routeAt(routes, "GET", path);
    const { answer, failure } = await serve(found.handle(httpCall("", { method: "GET", params })), iris);
    return jsonOf(failure === undefined ? answer : found.writeFailure(failure, ""));
  };
  const status = (version: string) => ({
    version,
    state: "AVAILABLE",
    status: { error_code: "OK", error_message: "" },
  });
  const card = {
    id: "iris",
    object: "model",
    created: 1_767_225_600,
    owned_by: "models",
    name: "iris",
    ready: true,
    model_version_status: [status("1"), status("2")],
  };
  assert.deepEqual(await ask("/v1/models/{model}", { model: "iris" }), card);
  assert.deepEqual(await ask("/v1/models/{model}/versions/{version}", { model: "iris", version: "2" }), {
    ...card,
    model_version_status: [status("2")],
  });
  assert.deepEqual(await ask("/v1/models"), {
    object: "list",
    data: [card, { ...card, id: "mock", name: "mock", model_version_status: [status("1")] }],
    models: ["iris", "mock"],
  });
  assert.deepEqual(await ask("/v1/models/{model}", { model: "nope" }), { error: 'No model "nope"' });
  assert.deepEqual(await ask("/v1/models/{model}/versions/{version}", { model: "iris", version: "9" }), {
    error: 'No version "9" of "iris"',
  });
});

test("what calls itself a picture and is none is not read as JSON", async () => {
  const call = httpCall("hello", { headers: { "content-type": "image/png" } });
  const { failure: refusal } = await serve(route.handle(call), plain, echo);
  assert.equal(refusal?.message, "The body is no picture of type image/jpeg, image/png, image/webp");
});

test("what is wrong with a model's card is told in the words of who asks", () => {
  const reason = failure("model_not_found", 'No model "nope"');
  const told = (path: string, headers: Record<string, string>): unknown =>
    jsonOf(routeAt(routes, "GET", path).writeFailure(reason, "request-1", headers));
  const openAi = {
    error: {
      message: 'No model "nope"',
      type: "invalid_request_error",
      param: "model",
      code: "model_not_found",
    },
  };
  const anthropic = {
    type: "error",
    error: { type: "not_found_error", message: 'No model "nope"' },
    request_id: "request-1",
  };
  const card = "/v1/models/{model}";
  assert.deepEqual(told(card, {}), { error: 'No model "nope"' });
  assert.deepEqual(told(card, { authorization: "Bearer none" }), openAi);
  assert.deepEqual(told(card, { "x-stainless-lang": "js" }), openAi);
  assert.deepEqual(told(card, { "x-stainless-lang": "js", "anthropic-version": "2023-06-01" }), anthropic);
  assert.deepEqual(told("/v1/models", {}), openAi);
  assert.deepEqual(told("/v1/models", { "anthropic-version": "2023-06-01" }), anthropic);
});

test("models of HTTP servers stand in the same list, behind predictive ones of their name", () => {
  const mixed = createTfServingRoutes({
    ...deps,
    pooled: () => [
      pooled("llama3.2:latest", { modified_at: "2026-02-03T04:05:06Z" }),
      pooled("qwen", { created: 7, owned_by: "vllm", max_model_len: 4096 }),
      pooled("iris", {}),
    ],
  });
  const list = jsonOf(routeAt(mixed, "GET", "/v1/models").handle(httpCall("")) as WireAnswer) as {
    data: { id: string; created: number; owned_by: string; max_model_len?: number }[];
  };
  const { data } = list;
  assert.deepEqual(data.map(({ id, owned_by }) => [id, owned_by]).slice(-2), [
    ["llama3.2:latest", "chat"],
    ["qwen", "vllm"],
  ]);
  assert.equal(data.filter(({ id }) => id === "iris").length, 1);
  assert.deepEqual(
    data.slice(-2).map(({ created, max_model_len }) => [created, max_model_len]),
    [
      [Date.UTC(2026, 1, 3, 4, 5, 6) / 1000, undefined],
      [7, 4096],
    ],
  );
  const one = routeAt(mixed, "GET", "/v1/models/{model}");
  const called = (model: string) => one.handle(httpCall("", { params: { model } }));
  assert.equal((jsonOf(called("llama3.2") as WireAnswer) as { id: string }).id, "llama3.2:latest");
  assert.equal((jsonOf(called("qwen") as WireAnswer) as { ready: boolean }).ready, true);
  assert.ok("code" in called("none"));
});
