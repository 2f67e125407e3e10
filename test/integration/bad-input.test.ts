/** What callers get wrong, in every dialect: each is told what was expected in that dialect's own shape, and nobody else notices. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import {
  createModelFolder,
  repositoryRoot,
  startTestGateway,
  testConfig,
  type TestGateway,
} from "../harness/gateway.ts";
import type { HttpAsk, HttpClient } from "../harness/http-client.ts";
import type { RpcClient } from "../harness/rpc-client.ts";
import { childrenOf } from "../harness/processes.ts";
import { until } from "../harness/until.ts";

const ended: (() => unknown)[] = [];
let gateway: TestGateway;
let http: HttpClient;
let rpc: RpcClient;
let pids: readonly number[];

const deployments = ["iris/1", "digits/1"];

before(async () => {
  const context = { after: (end: () => unknown) => void ended.push(end) };
  const models = createModelFolder(context);
  for (const name of ["iris", "digits"]) {
    models.addBuiltin(name);
    const yaml = readFileSync(path.join(models.path, name, "model.yaml"), "utf8");
    models.write(`${name}/model.yaml`, yaml.replace(/^group: .*$/m, "batching: { maxBatch: 8 }"));
  }
  const iris = readFileSync(path.join(models.path, "iris/1/model.onnx"));
  models.write("text/1/model.onnx", "this is no ONNX file");
  models.write("empty/1/model.onnx", "");
  models.write("half/1/model.onnx", iris.subarray(0, iris.length >> 1));
  models.write("folder/1/model.onnx/file", "");
  gateway = await startTestGateway(context, testConfig(models.path));
  http = gateway.client();
  rpc = gateway.rpc();
  pids = deployments.flatMap((deployment) => gateway.pids(deployment));
  assert.equal(pids.length, deployments.length);
});
after(async () => {
  for (const end of ended.toReversed()) await end();
});

/** A good request at the same time as a bad one; it is answered as if it were alone. */
async function healthy(): Promise<void> {
  const answer = await http.ask({
    path: "/predict",
    body: { features: [5.1, 3.5, 1.4, 0.2], model_name: "iris" },
  });
  assert.deepEqual([answer.status, answer.json["label"]], [200, "setosa"], answer.text);
}

/** What is sent, what comes back. `members` are all there are in the body. */
interface HttpCase {
  readonly ask: HttpAsk;
  readonly status: number;
  readonly error: string | RegExp;
  readonly code?: string;
}

async function checkHttp({ ask, status, error, code }: HttpCase): Promise<void> {
  const [answer] = await Promise.all([http.ask(ask), healthy()]);
  assert.equal(answer.status, status, answer.text);
  assert.match(String(answer.headers["content-type"]), /^application\/json/);
  assert.ok(answer.headers["x-request-id"], "every answer has an id");
  assert.deepEqual(Object.keys(answer.json), code === undefined ? ["error"] : ["error", "code"]);
  if (code !== undefined) assert.equal(answer.json["code"], code);
  const text = String(answer.json["error"]);
  if (typeof error === "string") assert.equal(text, error);
  else assert.match(text, error);
}

const nested = (levels: number): string => "[".repeat(levels) + "]".repeat(levels);
const irisTakes = 'model "iris" takes features FP32 [-1,4]';
const served = "served are digits, empty, folder, half, iris, text";
const noJson = /^The body is not valid JSON: /;
const nanHint = /; NaN and Infinity are no JSON numbers, send such tensors as binary data$/;
const picture = readFileSync(path.join(repositoryRoot, "models/digits/samples/7.png"));
const halfPicture = picture.subarray(0, picture.length >> 1);
const damaged = /^model "digits": input "image": the picture is damaged or truncated: /;

describe("POST /predict", () => {
  const good = { features: [1, 2, 3, 4], model_name: "iris" };
  const text = (body: string | Uint8Array): HttpAsk => ({ path: "/predict", body });
  const send = (body: object): HttpAsk => ({ path: "/predict", body });
  const wrong = "bad_request";
  const cases: Record<string, readonly [HttpAsk, number, string, string | RegExp]> = {
    "half a JSON text": [text('{"features":[1,'), 400, "invalid_json", noJson],
    "no body": [text(""), 400, "invalid_json", "The body is empty; expected JSON"],
    "no text": [text(Uint8Array.of(0xff, 0xfe)), 400, "invalid_json", "The body is not UTF-8 text"],
    "no object": [
      text("[1,2]"),
      400,
      wrong,
      'Expected a JSON object with "features", "prompt" or "image", got an array of 2',
    ],
    "NaN as text": [text('{"features":[NaN,1,2,3],"model_name":"iris"}'), 400, "invalid_json", nanHint],
    "deep JSON": [
      text(`{"features":${nested(30_000)}}`),
      400,
      wrong,
      '"features": expected a number at place 0, got an array of 1',
    ],
    "deeper JSON": [
      text(`{"features":${nested(300_000)}}`),
      400,
      "invalid_json",
      "The JSON nests deeper than 64 levels",
    ],
    "no input": [
      send({ model_name: "iris" }),
      400,
      wrong,
      'Expected exactly one of "features", "prompt" and "image", got none',
    ],
    "two inputs": [
      send({ ...good, prompt: "x" }),
      400,
      wrong,
      'Expected exactly one of "features", "prompt" and "image", got features and prompt',
    ],
    "an unknown member": [
      send({ ...good, feature: 1 }),
      400,
      wrong,
      'Unknown member "feature"; known are features, prompt, image, model_name, model_version',
    ],
    "too few features": [
      send({ ...good, features: [1] }),
      400,
      "invalid_tensor",
      'Model "iris" expects 4 features (features FP32 [-1,4]), got 1',
    ],
    "texts for numbers": [
      send({ ...good, features: [1, "2", 3, 4] }),
      400,
      wrong,
      '"features": expected a number at place 1, got "2"',
    ],
    "a prompt for a model of features": [
      send({ prompt: "x", model_name: "iris" }),
      400,
      wrong,
      'Model "iris" does not take a prompt; it takes features',
    ],
    "no model, and no default": [
      send({ features: [1] }),
      400,
      wrong,
      '"model_name" is missing, and there is no default model for features',
    ],
    "a number as a model's name": [
      send({ ...good, model_name: 5 }),
      400,
      wrong,
      '"model_name": expected a string, got 5',
    ],
    "an unknown model": [
      send({ ...good, model_name: "nobody" }),
      404,
      "model_not_found",
      `No model "nobody"; ${served}`,
    ],
    "a path as a model": [
      send({ ...good, model_name: "../x" }),
      404,
      "model_not_found",
      `No model "../x"; ${served}`,
    ],
    "an unknown version": [
      send({ ...good, model_version: "9" }),
      404,
      "version_not_found",
      "Model iris has no version 9; it serves 1",
    ],
    "half a picture": [
      { path: "/predict?model_name=digits", headers: { "content-type": "image/png" }, body: halfPicture },
      400,
      "invalid_image",
      damaged,
    ],
    "a text for a picture": [
      { path: "/predict?model_name=digits", headers: { "content-type": "image/png" }, body: "hello" },
      400,
      "invalid_image",
      /^Expected a picture of type image\/jpeg, image\/png, image\/webp/,
    ],
    "base64 that is none": [
      send({ image: "*", model_name: "digits" }),
      400,
      "invalid_image",
      '"image": expected a picture in base64',
    ],
  };
  for (const [name, [ask, status, code, error]] of Object.entries(cases))
    it(`refuses ${name}`, () => checkHttp({ ask, status, code, error }));
});

describe("POST /v2/models/iris/infer in JSON", () => {
  const input = { name: "features", datatype: "FP32", shape: [1, 4], data: [1, 2, 3, 4] as unknown };
  const at = (model: string, body: HttpAsk["body"] = { inputs: [input] }): HttpAsk => {
    return { path: `/v2/models/${model}/infer`, body: body! };
  };
  const send = (...inputs: object[]): HttpAsk => at("iris", { inputs });
  const cases: Record<string, readonly [HttpAsk, number, string | RegExp]> = {
    "half a JSON text": [at("iris", '{"inputs":['), 400, noJson],
    "no body": [at("iris", ""), 400, "The body is empty; expected JSON"],
    "no object": [at("iris", "[1]"), 400, 'Expected a JSON object with "inputs", got an array of 1'],
    "no inputs": [at("iris", {}), 400, 'Expected a list of tensors in "inputs", got nothing'],
    "a missing tensor": [send({ ...input, name: "other" }), 400, `Input "features" is missing; ${irisTakes}`],
    "an extra tensor": [
      send(input, { ...input, name: "other" }),
      400,
      `Input "other" is unknown or one too many; ${irisTakes}`,
    ],
    "a tensor twice": [send(input, input), 400, 'Input "features" is given twice'],
    "another width": [
      send({ ...input, shape: [1, 3], data: [1, 2, 3] }),
      400,
      'Input "features" has shape [1,3]; model "iris" expects [-1,4]',
    ],
    "another rank": [
      send({ ...input, shape: [4] }),
      400,
      'Input "features" has shape [4]; model "iris" expects [-1,4]',
    ],
    "no rows": [
      send({ ...input, shape: [0, 4], data: [] }),
      400,
      'Input "features" has shape [0,4]: no rows',
    ],
    "a negative dimension": [
      send({ ...input, shape: [-1, 4] }),
      400,
      'Input "features": expected a list of whole numbers from 0 in "shape", got [-1,4]',
    ],
    "an absurd dimension": [
      send({ ...input, shape: [2 ** 50, 2 ** 50] }),
      400,
      /^Input "features": expected a list of whole numbers/,
    ],
    "fewer values than the shape says": [
      send({ ...input, shape: [2, 4] }),
      400,
      'Input "features": shape [2,4] needs 8 values in "data", got 4',
    ],
    "another datatype": [
      send({ ...input, datatype: "INT32" }),
      400,
      'Input "features" has datatype INT32; model "iris" expects FP32',
    ],
    "an unknown datatype": [
      send({ ...input, datatype: "FP33" }),
      400,
      'Input "features": expected a v2 "datatype" such as FP32, got "FP33"',
    ],
    "NaN as text": [
      at("iris", '{"inputs":[{"name":"features","datatype":"FP32","shape":[1,4],"data":[NaN,1,2,3]}]}'),
      400,
      nanHint,
    ],
    "NaN as a string": [
      send({ ...input, data: ["NaN", 1, 2, 3] }),
      400,
      'Input "features": expected a number within range for FP32 at element 0, got "NaN"',
    ],
    null: [
      send({ ...input, data: [1, null, 2, 3] }),
      400,
      'Input "features": expected a number within range for FP32 at element 1, got null',
    ],
    "a number that is too large": [
      send({ ...input, data: [1, 2, 3, 1e39] }),
      400,
      'Input "features": expected a number within range for FP32 at element 3, got 1e+39',
    ],
    "an unknown output": [
      at("iris", { inputs: [input], outputs: [{ name: "label" }] }),
      400,
      'Output "label" is unknown; model "iris" answers scores FP32 [-1,3]',
    ],
    "deep JSON": [
      at("iris", `{"inputs":${nested(30_000)}}`),
      400,
      '"inputs": expected an object, got an array of 1',
    ],
    "deeper JSON": [at("iris", `{"inputs":${nested(300_000)}}`), 400, "The JSON nests deeper than 64 levels"],
    "deep data": [
      at("iris", `{"inputs":[{"name":"features","datatype":"FP32","shape":[1,4],"data":${nested(20_000)}}]}`),
      400,
      /^Input "features": "data" is not nested like shape \[1,4\]/,
    ],
    "an unknown model": [at("nobody"), 404, `No model "nobody"; ${served}`],
    "an unknown version": [at("iris/versions/9"), 404, "Model iris has no version 9; it serves 1"],
    "a path as a model": [at("../x"), 404, "Nothing is served at /v2/models/../x/infer"],
    "an encoded path": [at("..%2Fx"), 404, `No model "../x"; ${served}`],
    "a path encoded whole": [at("%2e%2e%2fx"), 404, `No model "../x"; ${served}`],
    "a path encoded twice": [at("%252e%252e%252fx"), 404, `No model "%2e%2e%2fx"; ${served}`],
    "a name that is no UTF-8": [at("%ff"), 400, "The path is not valid percent-encoded UTF-8"],
    "half a picture": [
      at("digits", {
        inputs: [
          {
            name: "image",
            datatype: "BYTES",
            shape: [1],
            parameters: { content_type: "base64" },
            data: [halfPicture.toString("base64")],
          },
        ],
      }),
      400,
      damaged,
    ],
  };
  for (const [name, [ask, status, error]] of Object.entries(cases))
    it(`refuses ${name}`, () => checkHttp({ ask, status, error }));
});

describe("POST /v2/models/iris/infer with binary tensors", () => {
  const binary = (parameters: object, bytes: Uint8Array, jsonLength?: string): HttpAsk => {
    const input = { name: "features", datatype: "FP32", shape: [1, 4], ...parameters };
    const json = Buffer.from(JSON.stringify({ inputs: [input] }));
    return {
      path: "/v2/models/iris/infer",
      headers: { "inference-header-content-length": jsonLength ?? String(json.length) },
      body: Buffer.concat([json, bytes]),
    };
  };
  const sized = (binary_data_size: unknown): object => ({ parameters: { binary_data_size } });
  const sixteen = new Uint8Array(16);
  const cases: Record<string, readonly [HttpAsk, number, string | RegExp]> = {
    "fewer bytes than announced": [
      binary(sized(16), sixteen.subarray(8)),
      400,
      'Input "features": "binary_data_size" is 16, but 8 bytes follow the JSON',
    ],
    "more bytes than announced": [
      binary(sized(16), new Uint8Array(20)),
      400,
      '4 bytes follow the last input that has a "binary_data_size"',
    ],
    "fewer bytes than the shape says": [
      binary(sized(12), sixteen.subarray(4)),
      400,
      'Input "features": shape [1,4] of FP32 needs 16 bytes, got 12',
    ],
    "a negative size": [
      binary(sized(-1), sixteen),
      400,
      'Input "features": expected a whole number in "binary_data_size", got -1',
    ],
    "data and a size": [
      binary({ ...sized(16), data: [1, 2, 3, 4] }, sixteen),
      400,
      'Input "features": expected "data" or "binary_data_size", got both',
    ],
    "a JSON length beyond the body": [
      binary(sized(16), sixteen, "100000"),
      400,
      /^Inference-Header-Content-Length: expected a whole number up to the \d+ bytes of the body, got "100000"$/,
    ],
    "a JSON length in words": [
      binary(sized(16), sixteen, "x"),
      400,
      /^Inference-Header-Content-Length: expected a whole number up to the \d+ bytes of the body, got "x"$/,
    ],
    "a JSON length within the JSON": [binary(sized(16), sixteen, "20"), 400, noJson],
    "a missing tensor": [
      binary({ ...sized(16), name: "other" }, sixteen),
      400,
      `Input "features" is missing; ${irisTakes}`,
    ],
    "another datatype": [
      binary({ ...sized(16), datatype: "INT32" }, sixteen),
      400,
      'Input "features" has datatype INT32; model "iris" expects FP32',
    ],
    "a raw body of another size": [
      {
        path: "/v2/models/iris/infer",
        headers: { "inference-header-content-length": "0" },
        body: new Uint8Array(7),
      },
      400,
      'Input "features": shape [1,4] of FP32 needs 16 bytes, got 7',
    ],
    "NaN, where the answer is to be JSON": [
      binary(sized(16), new Uint8Array(Float32Array.of(Number.NaN, 1, 2, 3).buffer)),
      500,
      'Output "scores" has NaN at element 0, which JSON cannot carry; ask for binary output to get it',
    ],
  };
  for (const [name, [ask, status, error]] of Object.entries(cases))
    it(`refuses ${name}`, () => checkHttp({ ask, status, error }));
});

describe("POST /v1/models/iris:predict", () => {
  const at = (address: string, body: HttpAsk["body"] = { instances: [[1, 2, 3, 4]] }): HttpAsk => {
    return { path: `/v1/models/${address}:predict`, body: body! };
  };
  const send = (body: object | string): HttpAsk => at("iris", body);
  const cases: Record<string, readonly [HttpAsk, number, string | RegExp]> = {
    "half a JSON text": [send('{"instances":['), 400, noJson],
    "no input": [send({}), 400, 'Expected exactly one of "instances" and "inputs", got none'],
    "two inputs": [
      send({ instances: [1], inputs: [1] }),
      400,
      'Expected exactly one of "instances" and "inputs", got both',
    ],
    "no instance": [
      send({ instances: [] }),
      400,
      '"instances": expected a list of at least one, got an array of 0',
    ],
    "another width": [
      send({ instances: [[1, 2]] }),
      400,
      'Input "features" has shape [1,2]; model "iris" expects [-1,4]',
    ],
    "rows of two widths": [
      send({ instances: [[1, 2, 3, 4], [1]] }),
      400,
      '"instances": expected arrays of one length, here 4, got an array of 1',
    ],
    "texts for numbers": [
      send({ instances: [["a", "b", "c", "d"]] }),
      400,
      'Input "features": the model expects FP32 [1,4], got texts',
    ],
    "another name": [
      send({ instances: [{ other: [1, 2, 3, 4] }] }),
      400,
      `Input "other" is unknown; ${irisTakes}`,
    ],
    "an extra tensor": [
      send({ inputs: { features: [[1, 2, 3, 4]], other: [[1]] } }),
      400,
      `Input "other" is unknown; ${irisTakes}`,
    ],
    "NaN as text": [send('{"instances":[[NaN,1,2,3]]}'), 400, nanHint],
    "deep JSON": [send(`{"instances":${nested(30_000)}}`), 400, '"instances": nests deeper than 32 levels'],
    "deeper JSON": [send(`{"instances":${nested(300_000)}}`), 400, "The JSON nests deeper than 64 levels"],
    "an unknown model": [at("nobody"), 404, `No model "nobody"; ${served}`],
    "an unknown version": [at("iris/versions/9"), 404, "Model iris has no version 9; it serves 1"],
    "a path as a model": [at("../x"), 404, "Nothing is served at /v1/models/../x:predict"],
    "an encoded path": [at("..%2fx"), 404, `No model "../x"; ${served}`],
    "half a picture": [at("digits", halfPicture), 400, damaged],
  };
  for (const [name, [ask, status, error]] of Object.entries(cases))
    it(`refuses ${name}`, () => checkHttp({ ask, status, error }));
});

describe("GRPCInferenceService/ModelInfer", () => {
  const input = { name: "features", datatype: "FP32", shape: [1, 4] };
  const typed = { ...input, contents: { fp32_contents: [1, 2, 3, 4] } };
  const send = (...inputs: object[]): object => ({ model_name: "iris", inputs });
  const raw = (...contents: number[]): object => ({
    ...send(input),
    raw_input_contents: contents.map((bytes) => Buffer.alloc(bytes)),
  });
  const cases: Record<string, readonly [object, number, string | RegExp]> = {
    "bytes that are no message": [
      Buffer.of(0xff, 0xff, 0xff),
      3,
      "The message is not a valid ModelInferRequest",
    ],
    "no inputs": [send(), 3, 'Expected tensors in "inputs", got none'],
    "a missing tensor": [send({ ...typed, name: "other" }), 3, `Input "features" is missing; ${irisTakes}`],
    "an extra tensor": [
      send(typed, { ...typed, name: "other" }),
      3,
      `Input "other" is unknown or one too many; ${irisTakes}`,
    ],
    "another width": [
      send({ ...typed, shape: [2, 2] }),
      3,
      'Input "features" has shape [2,2]; model "iris" expects [-1,4]',
    ],
    "values of another type": [
      send({ ...input, contents: { int_contents: [1, 2, 3, 4] } }),
      3,
      'Input "features": shape [1,4] needs 4 values in fp32_contents, got 0',
    ],
    "another datatype": [
      send({ ...input, datatype: "INT32", contents: { int_contents: [1, 2, 3, 4] } }),
      3,
      'Input "features" has datatype INT32; model "iris" expects FP32',
    ],
    "fewer values than the shape says": [
      send({ ...input, contents: { fp32_contents: [1] } }),
      3,
      'Input "features": shape [1,4] needs 4 values in fp32_contents, got 1',
    ],
    "fewer bytes than the shape says": [
      raw(15),
      3,
      'Input "features": shape [1,4] of FP32 needs 16 bytes, got 15',
    ],
    "more raw contents than inputs": [
      raw(16, 16),
      3,
      "Expected one entry in raw_input_contents for each of the 1 inputs, got 2",
    ],
    "values and bytes": [
      { ...raw(16), inputs: [typed] },
      3,
      'Input "features": expected contents or raw_input_contents, got both',
    ],
    "an unknown model": [{ model_name: "nobody", inputs: [typed] }, 5, `No model "nobody"; ${served}`],
    "a path as a model": [{ model_name: "../x", inputs: [typed] }, 5, `No model "../x"; ${served}`],
    "an unknown version": [
      { ...send(typed), model_version: "9" },
      5,
      "Model iris has no version 9; it serves 1",
    ],
    "half a picture": [
      {
        model_name: "digits",
        inputs: [
          { name: "image", datatype: "BYTES", shape: [1], contents: { bytes_contents: [halfPicture] } },
        ],
      },
      3,
      damaged,
    ],
    "a message of 100 MB": [
      Buffer.alloc(100 * 2 ** 20),
      8,
      /104857600 bytes, at most 67108864|67108864 bytes/,
    ],
  };
  for (const [name, [message, code, text]] of Object.entries(cases)) {
    it(`refuses ${name}`, async () => {
      const [answer] = await Promise.all([
        rpc.call("inference.GRPCInferenceService", "ModelInfer", message),
        healthy(),
      ]);
      assert.equal(answer.code, code);
      assert.ok("details" in answer);
      if (typeof text === "string") assert.equal(answer.details, text);
      else assert.match(answer.details, text);
    });
  }
});

describe("ModelInference/Predict", () => {
  const cases: Record<string, readonly [object, string | RegExp]> = {
    "bytes that are no message": [Buffer.of(0xff, 0xff, 0xff), "The message is not a valid PredictRequest"],
    "no input": [{ model_name: "iris" }, 'Expected exactly one of "features" and "prompt", got none'],
    "two inputs": [
      { model_name: "iris", features: [1], prompt: "x" },
      'Expected exactly one of "features" and "prompt", got both',
    ],
    "too few features": [
      { model_name: "iris", features: [1] },
      'Model "iris" expects 4 features (features FP32 [-1,4]), got 1',
    ],
    NaN: [
      { model_name: "iris", features: [1, Number.NaN, 2, 3] },
      '"features": expected a finite number at place 1, got NaN',
    ],
    "a prompt for a model of features": [
      { model_name: "iris", prompt: "x" },
      'Model "iris" does not take a prompt; it takes features',
    ],
    "no model, and no default": [
      { features: [1] },
      '"model_name" is missing, and there is no default model for features',
    ],
    "an unknown model": [{ model_name: "nobody", features: [1] }, `No model "nobody"; ${served}`],
    "a path as a model": [{ model_name: "../x", features: [1] }, `No model "../x"; ${served}`],
  };
  for (const [name, [message, text]] of Object.entries(cases)) {
    it(`answers ${name} with the error in the message`, async () => {
      const [answer] = await Promise.all([
        rpc.ask("inference.ModelInference", "Predict", message),
        healthy(),
      ]);
      assert.deepEqual([answer["class_id"], answer["confidence"]], [-1, 0]);
      assert.deepEqual(answer["error"], text);
    });
  }
});

/** Writes a head and then zeros until a JSON answer has come, or that many bytes are out; gives what came back. */
function sendEndless(head: string, bytes: number): Promise<string> {
  const socket = connect(Number(new URL(gateway.url).port), "127.0.0.1");
  const chunk = Buffer.alloc(65_536);
  let received = "";
  let left = bytes;
  const write = (): void => {
    while (left > 0 && received === "") {
      left -= chunk.length;
      if (!socket.write(chunk)) return;
    }
  };
  return new Promise((resolve) => {
    socket.on("data", (piece) => {
      received += piece.toString("latin1");
      if (received.endsWith("}")) socket.destroy();
    });
    // What was written after the end of the connection is lost, as it should be.
    socket.on("error", () => {});
    socket.on("close", () => resolve(received));
    socket.on("drain", write);
    socket.write(head);
    write();
  });
}

describe("a body of 100 MB", () => {
  const routes = {
    "/predict": ["error", "code"],
    "/v2/models/iris/infer": ["error"],
    "/v1/models/iris:predict": ["error"],
  };
  const size = 100 * 2 ** 20;
  for (const [route, members] of Object.entries(routes)) {
    for (const framing of [`content-length: ${size}`, "transfer-encoding: chunked"]) {
      it(`to ${route} with ${framing} is refused, and the answer can be read`, async () => {
        // One chunk that is as large as the body.
        const start = framing.startsWith("transfer") ? `${size.toString(16)}\r\n` : "";
        const head = `POST ${route} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n${framing}\r\n\r\n`;
        const [answer] = await Promise.all([sendEndless(head + start, size), healthy()]);
        assert.match(answer, /^HTTP\/1\.1 413 /);
        const body = JSON.parse(answer.slice(answer.indexOf("\r\n\r\n") + 4)) as Record<string, string>;
        assert.deepEqual(Object.keys(body), members);
        assert.match(body["error"]!, /^A body may have 67108864 bytes; /);
      });
    }
  }
});

describe("a model file that is none", () => {
  for (const name of ["text", "empty", "half", "folder"]) {
    it(`(${name}) is said in the index and to who asks, in every dialect`, async () => {
      const index = await gateway.post("/v2/repository/index", {});
      const entry = (index.body as unknown as Record<string, string>[]).find((one) => one["name"] === name);
      assert.equal(entry?.["state"], "UNAVAILABLE");
      assert.match(entry["reason"]!, /\.onnx|ONNX/);
      const text = `Model ${name} cannot be served: ${entry["reason"]}`;
      const features = [1, 2, 3, 4];
      const v2 = { inputs: [{ name: "x", datatype: "FP32", shape: [1, 4], data: features }] };
      const asks: readonly [string, object][] = [
        ["/predict", { features, model_name: name }],
        [`/v2/models/${name}/infer`, v2],
        [`/v1/models/${name}:predict`, { instances: [features] }],
      ];
      for (const [address, body] of asks) {
        const [answer] = await Promise.all([gateway.post(address, body), healthy()]);
        assert.deepEqual([answer.status, answer.body["error"]], [503, text]);
        assert.ok(Number(answer.headers.get("retry-after")) >= 1);
      }
      const viaRpc = await rpc.call("inference.ModelInference", "Predict", { features, model_name: name });
      assert.ok("details" in viaRpc);
      assert.deepEqual([viaRpc.code, viaRpc.details], [14, text]);
    });
  }
});

describe("a taken port", () => {
  for (const taken of ["http", "grpc"] as const) {
    it(`(${taken}) is said with its number, and leaves nothing behind`, async (test) => {
      const models = createModelFolder(test);
      models.addMock("m", "");
      const config = testConfig(models.path);
      const port = taken === "http" ? gateway.listening.http[0]!.port : gateway.listening.grpc!.port;
      const door = { ...config.http[0]!, port };
      const wanted = taken === "http" ? { ...config, http: [door] } : { ...config, grpc: door };
      const before = childrenOf(process.pid);
      await assert.rejects(startTestGateway(test, wanted), (error: Error) => {
        assert.match(error.message, new RegExp(`${port}`));
        assert.match(error.message, /EADDRINUSE|is taken by another program/);
        return true;
      });
      assert.deepEqual(childrenOf(process.pid), before);
      await healthy();
      await rpc.ask("inference.GRPCInferenceService", "ServerLive", {});
    });
  }
});

it("no worker was disturbed by any of it", async () => {
  await until("nothing is in flight", async () => {
    const samples = (await gateway.metrics()).get("spillway_http_requests_in_flight")?.samples;
    return samples?.get("spillway_http_requests_in_flight") === 1;
  });
  assert.deepEqual(
    deployments.flatMap((deployment) => gateway.pids(deployment)),
    pids,
  );
  const held = (await gateway.metrics()).get("spillway_http_body_bytes")!.samples;
  assert.equal(held.get("spillway_http_body_bytes"), 0);
});
