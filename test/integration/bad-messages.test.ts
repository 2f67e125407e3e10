/** What reaches a gateway that should not: wrong gRPC messages, enormous bodies, broken model files, taken ports. Nobody else notices. */
import assert from "node:assert/strict";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { after, before, describe, it } from "node:test";
import { damaged, halfPicture, irisTakes, served, startVictim, type Victim } from "../harness/bad-input.ts";
import { createModelFolder, startTestGateway, testConfig } from "../harness/gateway.ts";
import { childrenOf } from "../harness/processes.ts";

let victim: Victim;
const ended: (() => unknown)[] = [];

before(async () => {
  // One gateway for the whole file: what is to end with it is collected.
  victim = await startVictim({ after: (end) => void ended.push(end as () => unknown) });
});
after(async () => {
  for (const end of ended.toReversed()) await end();
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
        victim.rpc.call("inference.GRPCInferenceService", "ModelInfer", message),
        victim.healthy(),
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
        victim.rpc.ask("inference.ModelInference", "Predict", message),
        victim.healthy(),
      ]);
      assert.deepEqual([answer["class_id"], answer["confidence"]], [-1, 0]);
      assert.deepEqual(answer["error"], text);
    });
  }
});

/** Writes a head and then zeros until a JSON answer has come, or that many bytes are out; gives what came back. */
function sendEndless(head: string, bytes: number): Promise<string> {
  const socket = connect(Number(new URL(victim.gateway.url).port), "127.0.0.1");
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
      if (received.trimEnd().endsWith("}")) socket.destroy();
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
        const [answer] = await Promise.all([sendEndless(head + start, size), victim.healthy()]);
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
      const index = await victim.gateway.post("/v2/repository/index", {});
      const entry = (index.body as unknown as Record<string, string>[]).find((one) => one["name"] === name);
      assert.equal(entry?.["state"], "UNAVAILABLE");
      assert.match(entry["reason"]!, new RegExp(`\\b${name}/1`));
      assert.doesNotMatch(
        entry["reason"]!,
        new RegExp(tmpdir()),
        "where the models lie is nothing for callers",
      );
      const text = `Model ${name} cannot be served: ${entry["reason"]}`;
      const features = [1, 2, 3, 4];
      const v2 = { inputs: [{ name: "x", datatype: "FP32", shape: [1, 4], data: features }] };
      const asks: readonly [string, object][] = [
        ["/predict", { features, model_name: name }],
        [`/v2/models/${name}/infer`, v2],
        [`/v1/models/${name}:predict`, { instances: [features] }],
      ];
      for (const [address, body] of asks) {
        const [answer] = await Promise.all([victim.gateway.post(address, body), victim.healthy()]);
        assert.deepEqual([answer.status, answer.body["error"]], [503, text]);
        assert.ok(Number(answer.headers.get("retry-after")) >= 1);
      }
      const viaRpc = await victim.rpc.call("inference.ModelInference", "Predict", {
        features,
        model_name: name,
      });
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
      const port =
        taken === "http" ? victim.gateway.listening.http[0]!.port : victim.gateway.listening.grpc!.port;
      const door = { ...config.http[0]!, port };
      const wanted = taken === "http" ? { ...config, http: [door] } : { ...config, grpc: door };
      const before = childrenOf(process.pid);
      await assert.rejects(startTestGateway(test, wanted), (error: Error) => {
        assert.match(error.message, new RegExp(`${port}`));
        assert.match(error.message, /EADDRINUSE|is taken by another program/);
        return true;
      });
      assert.deepEqual(childrenOf(process.pid), before);
      await victim.healthy();
      await victim.rpc.ask("inference.GRPCInferenceService", "ServerLive", {});
    });
  }
});

it("no worker was disturbed by any of it", () => victim.assertUndisturbed());
