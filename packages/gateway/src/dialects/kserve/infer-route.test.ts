/** `POST …/infer` over HTTP: each form of request and answer, byte for byte, and each way to be wrong. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { decodeBytesElements, encodeBytesElements } from "@spillway/protocol/tensors";
import { createManualClock } from "../../testing.ts";
import {
  bodyOf,
  floats,
  headerOf,
  httpCall,
  irisTask,
  jsonOf,
  routeAt,
  serve,
  testCatalog,
  testModel,
  type Answerer,
} from "../../../test/support/dialect-calls.ts";
import type { HttpCall } from "../../contracts/route.ts";
import { errorTable } from "../../core/errors.ts";
import type { Tensor } from "../../core/tensor.ts";
import { JsonThreads } from "../json/json-threads.ts";
import { encodeTexts } from "../tensors/encode-texts.ts";
import { createKserveRoutes } from "./create-kserve-routes.ts";

const jsonThreads = new JsonThreads({ clock: createManualClock(), limits: { writeInPlaceBytes: 4096 } });
after(() => jsonThreads.close());

const model = testModel({ task: irisTask });
const routes = createKserveRoutes({
  catalog: testCatalog({ models: [model] }),
  defaults: { requestTimeoutMs: 10_000 },
  server: { name: "spillway", version: "0.1.0" },
  jsonThreads,
});
const route = routeAt(routes, "POST", "/v2/models/{model}/infer");

const scores: Answerer = (bound) => [
  floats("y", [bound.rows, 3], Array.from({ length: bound.rows }, () => [0.1, 0.7, 0.2]).flat()),
];
const good = { name: "x", shape: [1, 4], datatype: "FP32", data: [5.1, 3.5, 1.4, 0.2] };

function infer(body: unknown, changes: Partial<HttpCall> = {}, served = model, answerer = scores) {
  return serve(route.handle(httpCall(body, changes)), served, answerer);
}

/** Status and body of the refusal, as a client sees it. */
async function refused(body: unknown, changes: Partial<HttpCall> = {}, served = model): Promise<string> {
  const { failure } = await infer(body, changes, served);
  assert.ok(failure, "expected a refusal");
  const answer = route.writeFailure(failure, "request-1");
  const { error } = jsonOf(answer) as { error: string };
  assert.deepEqual(jsonOf(answer), { error });
  assert.equal(answer.status, errorTable[failure.code].http);
  return `${answer.status} ${error}`;
}

/** A body of JSON and binary tensors with its header. */
function withBinary(json: unknown, ...tensors: readonly Uint8Array[]): [Uint8Array, Partial<HttpCall>] {
  const text = Buffer.from(JSON.stringify(json));
  const headers = { "inference-header-content-length": String(text.length) };
  return [Buffer.concat([text, ...tensors]), { headers }];
}

test("JSON in, JSON out", async () => {
  const { answer, request } = await infer({ id: "42", inputs: [good] });
  assert.equal(
    bodyOf(answer).toString(),
    '{"model_name":"iris","model_version":"1","id":"42","outputs":[{"name":"y","datatype":"FP32","shape":[1,3],"data":[0.1,0.7,0.2]}]}',
  );
  assert.deepEqual(answer?.headers, [
    ["content-type", "application/json"],
    ["x-spillway-model", "iris"],
    ["x-spillway-version", "1"],
    ["server-timing", 'queue;dur=0.25, compute;dur=1.5, batch;desc="3"'],
  ]);
  assert.deepEqual(
    [request?.model, request?.version, request?.deadline, request?.priority, request?.id],
    ["iris", undefined, 11_000, 0, "request-1"],
  );
});

test("a version in the path, and the v1 addresses", async () => {
  for (const path of [
    "/v2/models/{model}/versions/{version}/infer",
    "/v1/models/{model}/versions/{version}/infer",
  ]) {
    const handled = routeAt(routes, "POST", path).handle(
      httpCall({ inputs: [good] }, { params: { model: "iris", version: "2" } }),
    );
    assert.equal((await serve(handled, model)).request?.version, "2");
  }
  const plain = routeAt(routes, "POST", "/v1/models/{model}/infer").handle(httpCall({ inputs: [good] }));
  assert.equal((await serve(plain, model)).request?.model, "iris");
});

test("binary tensors in, binary tensors out without a copy", async () => {
  const input = floats("x", [2, 4], [1, 2, 3, 4, 5, 6, 7, 8]);
  const [body, changes] = withBinary(
    {
      inputs: [{ name: "x", shape: [2, 4], datatype: "FP32", parameters: { binary_data_size: 32 } }],
      outputs: [{ name: "y", parameters: { binary_data: true } }],
    },
    input.data,
  );
  let output: Tensor | undefined;
  const { answer, bound } = await infer(body, changes, model, (given, served) => {
    const tensors = scores(given, served);
    output = tensors[0];
    return tensors;
  });
  assert.equal(bound?.inputs[0]?.data.buffer, body.buffer);
  const json =
    '{"model_name":"iris","model_version":"1","outputs":[{"name":"y","datatype":"FP32","shape":[2,3],"parameters":{"binary_data_size":24}}]}';
  assert.equal(headerOf(answer, "content-type"), "application/octet-stream");
  assert.equal(headerOf(answer, "inference-header-content-length"), String(json.length));
  assert.equal(Buffer.from(answer?.body[0] ?? []).toString(), json);
  assert.equal(answer?.body[1], output?.data);
});

test("binary_data_output sets the form of all, an output's own parameter that of one", async () => {
  const two = testModel({ outputs: [...model.outputs, { name: "z", datatype: "INT32", shape: [-1] }] });
  const answerer: Answerer = (bound, served) => [
    ...scores(bound, served),
    { name: "z", datatype: "INT32", shape: [1], data: new Uint8Array([7, 0, 0, 0]) },
  ];
  const parameters = { binary_data_output: true };
  const all = await infer({ inputs: [good], parameters }, {}, two, answerer);
  assert.equal(all.answer?.body.length, 3);
  const outputs = [{ name: "z", parameters: { binary_data: false } }, { name: "y" }];
  const mixed = await infer({ inputs: [good], parameters, outputs }, {}, two, answerer);
  const length = Number(headerOf(mixed.answer, "inference-header-content-length"));
  const body = bodyOf(mixed.answer);
  assert.deepEqual(JSON.parse(body.subarray(0, length).toString()), {
    model_name: "iris",
    model_version: "1",
    outputs: [
      { name: "z", datatype: "INT32", shape: [1], data: [7] },
      { name: "y", datatype: "FP32", shape: [1, 3], parameters: { binary_data_size: 12 } },
    ],
  });
  assert.equal(body.length - length, 12);
});

test("a raw request is one row of the only input", async () => {
  const raw = { headers: { "inference-header-content-length": "0" } };
  const input = floats("x", [1, 4], [1, 2, 3, 4]);
  const { bound, answer } = await infer(input.data, raw);
  assert.deepEqual(bound?.inputs, [input]);
  assert.equal(answer?.body.length, 2);
  const free = testModel({ inputs: [{ name: "x", datatype: "FP32", shape: [-1, -1] }] });
  assert.deepEqual((await infer(input.data, raw, free)).bound?.inputs[0]?.shape, [1, 4]);
  const text = testModel({ inputs: [{ name: "x", datatype: "BYTES", shape: [-1] }] });
  const sent = (await infer(Buffer.from("hello"), raw, text)).bound?.inputs[0];
  assert.deepEqual(decodeBytesElements(sent?.data ?? new Uint8Array())?.map(String), [
    String(new TextEncoder().encode("hello")),
  ]);
  const png = Buffer.from("\u0089PNG\r\n\u001a\nrest", "latin1");
  const digits = testModel({ mapping: { features: "x", prompt: undefined, image: "image" } });
  assert.deepEqual((await infer(png, raw, digits)).bound?.inputs, [
    { name: "image", datatype: "BYTES", shape: [1], data: encodeBytesElements([png]) },
  ]);
  assert.match(await refused(input.data.subarray(1), raw), /^400 .*needs 16 bytes, got 15/);
  const wide = testModel({ inputs: [{ name: "x", datatype: "FP32", shape: [-1, -1, -1] }] });
  assert.match(await refused(input.data, raw, wide), /^400 .*more than one variable dimension/);
  const two = testModel({ inputs: [...model.inputs, ...wide.inputs] });
  assert.match(
    await refused(input.data, raw, two),
    /^400 A raw request needs a model with one input; "iris" has 2/,
  );
});

test("classification gives value, index and label of the best", async () => {
  const outputs = [{ name: "y", parameters: { classification: 2 } }];
  const labelled = await infer({ inputs: [good], outputs });
  assert.deepEqual((jsonOf(labelled.answer) as { outputs: unknown }).outputs, [
    { name: "y", datatype: "BYTES", shape: [1, 2], data: ["0.7:1:versicolor", "0.2:2:virginica"] },
  ]);
  const plain = await infer(
    { inputs: [good], outputs: [{ name: "y", parameters: { classification: 9 } }] },
    {},
    testModel(),
  );
  assert.deepEqual((jsonOf(plain.answer) as { outputs: { data: unknown }[] }).outputs[0]?.data, [
    "0.7:1",
    "0.2:2",
    "0.1:0",
  ]);
  const binary = [{ name: "y", parameters: { classification: 1, binary_data: true } }];
  const raw = await infer({ inputs: [good], outputs: binary });
  assert.deepEqual(Buffer.from(raw.answer?.body[1] ?? []), Buffer.from(encodeTexts(["0.7:1:versicolor"])));
});

test("priority and timeout: 1 is the most urgent, a timeout only shortens", async () => {
  const requestOf = async (parameters: unknown) => (await infer({ inputs: [good], parameters })).request;
  const [urgent, normal, low] = await Promise.all([1, 8, 12].map((priority) => requestOf({ priority })));
  assert.deepEqual([urgent?.priority, normal?.priority, low?.priority], [7, 0, -4]);
  assert.equal((await requestOf({ timeout: 250_000 }))?.deadline, 1250);
  assert.equal((await requestOf({ timeout: 60_000_000 }))?.deadline, 11_000);
  assert.equal((await requestOf({ timeout: 0, priority: 0, anything: "else" }))?.deadline, 11_000);
  assert.match(
    await refused({ inputs: [good], parameters: { timeout: -1 } }),
    /^400 Parameter "timeout": expected microseconds.*got -1/,
  );
  assert.match(
    await refused({ inputs: [good], parameters: { priority: "high" } }),
    /^400 Parameter "priority"/,
  );
});

test("a mock says so, and names that no header can carry are escaped", async () => {
  const odd = testModel({ name: "mö/ck\n", mock: true });
  const { answer } = await infer({ inputs: [good] }, {}, odd);
  assert.deepEqual((jsonOf(answer) as { parameters: unknown }).parameters, { mock: true });
  assert.equal(headerOf(answer, "x-spillway-model"), "m%C3%B6/ck%0A");
});

test("a large body and a large answer go through a thread and come out the same", async () => {
  const free = testModel({ inputs: [{ name: "x", datatype: "FP32", shape: [-1, -1] }] });
  const data = Array.from({ length: 60_000 }, (_, i) => Math.fround(Math.sin(i)));
  const echo: Answerer = (bound) => bound.inputs.map((input) => ({ ...input, name: "y" }));
  const body = { id: "b", inputs: [{ name: "x", shape: [2, 30_000], datatype: "FP32", data }] };
  assert.ok(JSON.stringify(body).length > jsonThreads.limits.parseInPlaceBytes);
  const { answer } = await infer(body, {}, free, echo);
  const { id, outputs } = jsonOf(answer) as { id: string; outputs: { shape: number[]; data: number[] }[] };
  assert.equal(id, "b");
  assert.deepEqual(outputs[0]?.shape, [2, 30_000]);
  assert.deepEqual(outputs[0]?.data.map(Math.fround), data);
});

test("wrong JSON, each with what was expected", async () => {
  const cases: readonly (readonly [unknown, RegExp])[] = [
    ["", /^400 The body is empty/],
    ['{"inputs":', /^400 The body is not valid JSON: Unexpected end/],
    [
      '{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[NaN]}]}',
      /^400 .*NaN and Infinity are no JSON numbers/,
    ],
    ["[".repeat(200_000), /^400 The JSON nests deeper than 64 levels/],
    [[], /^400 Expected a JSON object with "inputs", got an array of 0/],
    ["null", /^400 Expected a JSON object with "inputs", got null/],
    [{ code: "internal" }, /^400 Expected a list of tensors in "inputs", got nothing/],
    [{ inputs: [] }, /^400 Expected a list of tensors in "inputs", got an array of 0/],
    [{ inputs: Array(1025).fill(good) }, /^400 Expected at most 1024 inputs, got 1025/],
    [{ inputs: [7] }, /^400 "inputs": expected an object, got 7/],
    [{ inputs: [{ ...good, name: 7 }] }, /^400 "inputs": expected a "name", got 7/],
    [
      { inputs: [{ ...good, datatype: "FLOAT" }] },
      /^400 Input "x": expected a v2 "datatype" such as FP32, got "FLOAT"/,
    ],
    [{ inputs: [{ ...good, datatype: "toString" }] }, /^400 .*got "toString"/],
    [
      { inputs: [{ ...good, shape: [1, -4] }] },
      /^400 Input "x": expected a list of whole numbers from 0 in "shape", got \[1,-4\]/,
    ],
    [{ inputs: [{ ...good, shape: [2 ** 40, 2 ** 40] }] }, /^400 .*in "shape"/],
    [{ inputs: [{ ...good, shape: "1,4" }] }, /^400 .*in "shape", got "1,4"/],
    [{ inputs: [{ ...good, data: [1, 2] }] }, /^400 .*shape \[1,4\] needs 4 values in "data", got 2/],
    [{ inputs: [{ ...good, data: [1, 2, "3", 4] }] }, /^400 .*at element 2, got "3"/],
    [{ inputs: [{ ...good, parameters: 5 }] }, /^400 Input "x": expected an object in "parameters", got 5/],
    [
      { inputs: [good], parameters: [] },
      /^400 Request: expected an object in "parameters", got an array of 0/,
    ],
    [{ inputs: [good], id: 5 }, /^400 "id": expected a string, got 5/],
    [{ inputs: [good], outputs: {} }, /^400 Expected a list in "outputs", got an object/],
    [{ inputs: [good], outputs: [{}] }, /^400 "outputs": expected a "name", got nothing/],
    [
      { inputs: [good], outputs: [{ name: "q" }] },
      /^400 Output "q" is unknown; model "iris" answers y FP32 \[-1,3\]/,
    ],
    [
      { inputs: [good], outputs: [{ name: "y", parameters: { classification: 0 } }] },
      /^400 Parameter "classification": expected a whole number from 1, got 0/,
    ],
    [
      { inputs: [good], outputs: [{ name: "y", parameters: { binary_data: 1 } }] },
      /^400 Parameter "binary_data": expected true or false, got 1/,
    ],
    [{ inputs: [good], parameters: { binary_data_output: "yes" } }, /^400 Parameter "binary_data_output"/],
    [{ inputs: [good], parameters: { sequence_id: 5 } }, /^501 Sequences are not offered/],
    [
      { inputs: [{ ...good, parameters: { shared_memory_region: "r" } }] },
      /^501 Shared memory is not offered/,
    ],
    [
      { inputs: [good, { ...good, name: "z" }] },
      /^400 Input "z" is unknown or one too many; model "iris" takes x FP32 \[-1,4\]/,
    ],
    [{ inputs: [{ ...good, name: "z" }] }, /^400 Input "x" is missing/],
    [
      { inputs: [{ ...good, datatype: "FP64" }] },
      /^400 Input "x" has datatype FP64; model "iris" expects FP32/,
    ],
    [{ inputs: [{ ...good, shape: [4] }] }, /^400 Input "x" has shape \[4\]; model "iris" expects \[-1,4\]/],
  ];
  for (const [body, message] of cases) assert.match(await refused(body), message);
});

test("wrong binary parts, each with what was expected", async () => {
  const input = (size: unknown, more = {}) => ({
    inputs: [{ name: "x", shape: [1, 4], datatype: "FP32", parameters: { binary_data_size: size }, ...more }],
  });
  const cases: readonly (readonly [ReturnType<typeof withBinary>, RegExp])[] = [
    [
      withBinary(input(16), Buffer.alloc(15)),
      /^400 Input "x": "binary_data_size" is 16, but 15 bytes follow the JSON/,
    ],
    [
      withBinary(input(16), Buffer.alloc(17)),
      /^400 1 bytes follow the last input that has a "binary_data_size"/,
    ],
    [withBinary(input(12), Buffer.alloc(12)), /^400 Input "x": shape \[1,4\] of FP32 needs 16 bytes, got 12/],
    [
      withBinary(input("16"), Buffer.alloc(16)),
      /^400 Input "x": expected a whole number in "binary_data_size", got "16"/,
    ],
    [
      withBinary(input(16, { data: [1] }), Buffer.alloc(16)),
      /^400 Input "x": expected "data" or "binary_data_size", got both/,
    ],
    [
      [Buffer.from("{}"), { headers: { "inference-header-content-length": "3" } }],
      /^400 Inference-Header-Content-Length: expected a whole number up to the 2 bytes of the body, got "3"/,
    ],
    [
      [Buffer.from("{}"), { headers: { "inference-header-content-length": "-1" } }],
      /^400 Inference-Header-Content-Length/,
    ],
  ];
  for (const [[body, changes], message] of cases) assert.match(await refused(body, changes), message);
});

test("a number that JSON cannot carry and an output that is missing are not answered with something else", async () => {
  const nan: Answerer = () => [floats("y", [1, 3], [1, Number.NaN, 2])];
  const lost = await infer({ inputs: [good] }, {}, model, nan);
  assert.match(lost.failure?.message ?? "", /Output "y" has NaN at element 1, which JSON cannot carry/);
  const outputs = [{ name: "y", parameters: { binary_data: true } }];
  assert.ok((await infer({ inputs: [good], outputs }, {}, model, nan)).answer);
  const none = await infer({ inputs: [good], outputs }, {}, model, () => []);
  assert.equal(none.failure?.code, "bad_upstream_answer");
});
