/** What HTTP callers get wrong, in every dialect: each is told what was expected in that dialect's own shape, and nobody else notices. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { damaged, halfPicture, irisTakes, served, startVictim, type Victim } from "../harness/bad-input.ts";
import type { HttpAsk } from "../harness/http-client.ts";

let victim: Victim;
const ended: (() => unknown)[] = [];

before(async () => {
  // One gateway for the whole file: what is to end with it is collected.
  victim = await startVictim({ after: (end) => void ended.push(end as () => unknown) });
});
after(async () => {
  for (const end of ended.toReversed()) await end();
});

const nested = (levels: number): string => "[".repeat(levels) + "]".repeat(levels);
const noJson = /^The body is not valid JSON: /;
const nanHint = /; NaN and Infinity are no JSON numbers, send such tensors as binary data$/;
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
    it(`refuses ${name}`, () => victim.check({ ask, status, code, error }));
});

describe("POST /v2/models/iris/infer in JSON", () => {
  const input = { name: "features", datatype: "FP32", shape: [1, 4], data: [1, 2, 3, 4] as unknown };
  const at = (model: string, body: HttpAsk["body"] = { inputs: [input] }): HttpAsk => {
    return { path: `/v2/models/${model}/infer`, body };
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
    it(`refuses ${name}`, () => victim.check({ ask, status, error }));
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
    it(`refuses ${name}`, () => victim.check({ ask, status, error }));
});

describe("POST /v1/models/iris:predict", () => {
  const at = (address: string, body: HttpAsk["body"] = { instances: [[1, 2, 3, 4]] }): HttpAsk => {
    return { path: `/v1/models/${address}:predict`, body };
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
    it(`refuses ${name}`, () => victim.check({ ask, status, error }));
});

it("an address below /v1 that is not there is refused in OpenAI's words", async () => {
  for (const path of ["/v1/images/generations", "/v1/nothing"]) {
    const { status, json } = await victim.http.ask({ path, body: {} });
    assert.equal(status, 404);
    const { error } = json as { error: { message: string; type: string } };
    assert.deepEqual([error.message, error.type], [`Nothing is served at ${path}`, "invalid_request_error"]);
  }
});

it("no worker was disturbed by any of it", () => victim.assertUndisturbed());
