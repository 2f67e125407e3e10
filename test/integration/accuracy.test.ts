/** The models that come with Spillway, asked from outside: as right as their files say, by every door and dialect. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { repositoryRoot, startTestGateway, testConfig, type TestGateway } from "../harness/gateway.ts";
import type { HttpClient } from "../harness/http-client.ts";
import type { Message, RpcClient } from "../harness/rpc-client.ts";

const models = path.join(repositoryRoot, "models");

interface HeldOut {
  readonly correct: number;
  readonly labels: readonly number[];
  readonly inputs: readonly (readonly number[])[];
}

function heldOut(name: string): HeldOut {
  return JSON.parse(readFileSync(path.join(models, name, "heldout.json"), "utf8")) as HeldOut;
}

let gateway: TestGateway;
let http: HttpClient;
let rpc: RpcClient;
const ended: (() => unknown)[] = [];

before(async () => {
  const config = testConfig(models);
  // One gateway for the whole file: hooks have no `after` of their own, so what is to end is collected.
  const context = { after: (end: () => unknown) => void ended.push(end) };
  gateway = await startTestGateway(context, {
    ...config,
    predict: { featuresModel: "iris", promptModel: "sentiment" },
  });
  http = gateway.client({ connections: 8 });
  rpc = gateway.rpc();
});
after(async () => {
  for (const end of ended.toReversed()) await end();
});

/** The place of the highest score in each row of an FP32 output. */
function bestOfRows(scores: readonly number[], rows: number): number[] {
  const width = scores.length / rows;
  return Array.from({ length: rows }, (_, row) => {
    const slice = scores.slice(row * width, (row + 1) * width);
    return slice.indexOf(Math.max(...slice));
  });
}

function countEqual(answers: readonly unknown[], truth: readonly unknown[]): number {
  assert.equal(answers.length, truth.length);
  return answers.filter((answer, i) => answer === truth[i]).length;
}

/** The `scores` of a v2 answer. */
function scoresOf(answer: Message): readonly number[] {
  const outputs = answer["outputs"] as { name: string; datatype: string; data: number[] }[];
  assert.deepEqual(
    outputs.map(({ name, datatype }) => [name, datatype]),
    [["scores", "FP32"]],
  );
  return outputs[0]!.data;
}

describe("digits", () => {
  it("as PNG files reach exactly the stated accuracy", async () => {
    const { correct, labels } = heldOut("digits");
    const folder = path.join(models, "digits/heldout");
    const files = readdirSync(folder).toSorted();
    const answers = await Promise.all(
      files.map((file) =>
        http.ask({
          path: "/v1/models/digits:predict",
          headers: { "content-type": "image/png" },
          body: readFileSync(path.join(folder, file)),
        }),
      ),
    );
    const classes = answers.map(({ status, text, json }) => {
      assert.equal(status, 200, text);
      const [prediction, ...more] = json["predictions"] as { class_id: number; label: string }[];
      assert.equal(more.length, 0);
      assert.equal(prediction!.label, String(prediction!.class_id));
      return prediction!.class_id;
    });
    assert.equal(countEqual(classes, labels), correct);
    const wrong = files.filter((file, i) => Number(/-(\d)\.png$/.exec(file)![1]) !== classes[i]);
    assert.equal(files.length - wrong.length, correct, "the names of the files say the same digits");
  });

  it("as numbers in one request reach the same", async () => {
    const { correct, labels, inputs } = heldOut("digits");
    const answer = await gateway.post("/v2/models/digits/infer", {
      inputs: [{ name: "pixels", datatype: "FP32", shape: [inputs.length, 64], data: inputs }],
    });
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
    assert.equal(countEqual(bestOfRows(scoresOf(answer.body), inputs.length), labels), correct);
  });

  it("of every sample are recognised, by every way a picture can come", async () => {
    for (let digit = 0; digit < 10; digit++) {
      const picture = readFileSync(path.join(models, `digits/samples/${digit}.png`));
      const b64 = picture.toString("base64");
      const type = { "content-type": "image/png" };
      const asBody = await http.ask({ path: "/predict?model_name=digits", headers: type, body: picture });
      const asText = await gateway.post("/predict", { image: b64, model_name: "digits" });
      const asInstance = await gateway.post("/v1/models/digits:predict", { instances: [{ b64 }] });
      const [instance] = asInstance.body["predictions"] as { label: string }[];
      assert.deepEqual(
        [asBody.json["label"], asText.body["label"], instance!.label],
        [String(digit), String(digit), String(digit)],
      );
    }
  });
});

for (const name of ["iris", "breast-cancer"]) {
  describe(name, () => {
    it("all held-out rows in one v2 request reach exactly the stated accuracy", async () => {
      const { correct, labels, inputs } = heldOut(name);
      const shape = [inputs.length, inputs[0]!.length];
      const answer = await gateway.post(`/v2/models/${name}/infer`, {
        id: "all",
        inputs: [{ name: "features", datatype: "FP32", shape, data: inputs.flat() }],
      });
      assert.equal(answer.status, 200, JSON.stringify(answer.body));
      assert.equal(answer.body["id"], "all");
      assert.equal(countEqual(bestOfRows(scoresOf(answer.body), inputs.length), labels), correct);
    });

    it("one by one through /predict, all at once, reach the same", async () => {
      const { correct, labels, inputs } = heldOut(name);
      const answers = await Promise.all(
        inputs.map((features) => gateway.post("/predict", { features, model_name: name })),
      );
      const classes = answers.map(({ body }) => body["class_id"]);
      assert.equal(countEqual(classes, labels), correct);
    });

    it("as instances and as columns in the words of v1 reach the same", async () => {
      const { correct, labels, inputs } = heldOut(name);
      const rows = await gateway.post(`/v1/models/${name}:predict`, { instances: inputs });
      const predictions = rows.body["predictions"] as { class_id: number }[];
      const classes = predictions.map(({ class_id }) => class_id);
      assert.equal(countEqual(classes, labels), correct);
      const columns = await gateway.post(`/v1/models/${name}:predict`, { inputs: { features: inputs } });
      const scores = (columns.body["outputs"] as number[][]).flat();
      assert.equal(countEqual(bestOfRows(scores, inputs.length), labels), correct);
    });

    it("every sample gets the label it is named after", async () => {
      const folder = path.join(models, name, "samples");
      for (const file of readdirSync(folder)) {
        const answer = await gateway.post("/predict", readFileSync(path.join(folder, file), "utf8"));
        assert.equal(answer.body["label"], path.basename(file, ".json"));
        assert.equal(answer.body["error"], "");
        assert.equal(answer.body["model_version"], "1");
      }
    });
  });
}

describe("sentiment", () => {
  const prompts = [
    ["I love it", 1, "positive"],
    ["I hate this, it is terrible", 0, "negative"],
    ["The table is made of wood", 2, "neutral"],
  ] as const;

  for (const [prompt, classId, label] of prompts) {
    it(`says ${label} of "${prompt}"`, async () => {
      const { status, body } = await gateway.post("/predict", { prompt });
      assert.equal(status, 200);
      assert.deepEqual([body["class_id"], body["label"], body["model_name"]], [classId, label, "sentiment"]);
      assert.equal(body["mock"], undefined);
      const answer = await rpc.ask("inference.ModelInference", "Predict", { prompt });
      assert.deepEqual([answer["class_id"], answer["error"]], [classId, ""]);
    });
  }
});

describe("v1-mock", () => {
  it("waits half a second, answers a class from 0 to 4 and says everywhere that it is a mock", async () => {
    const features = [1, 2, 3];
    const started = performance.now();
    const predicted = await gateway.post("/predict", { features, model_name: "v1-mock" });
    assert.ok(performance.now() - started >= 499, "the answer came too early");
    const { class_id: classId, confidence, mock } = predicted.body;
    assert.ok(Number.isInteger(classId) && Number(classId) >= 0 && Number(classId) <= 4, String(classId));
    assert.ok(Number(confidence) >= 0.85 && Number(confidence) <= 0.99, String(confidence));
    assert.equal(mock, true);
    const [v1, v2, viaRpc, described] = await Promise.all([
      gateway.post("/v1/models/v1-mock:predict", { instances: [features] }),
      gateway.post("/v2/models/v1-mock/infer", {
        inputs: [{ name: "features", datatype: "FP32", shape: [1, 3], data: features }],
      }),
      rpc.call("inference.ModelInference", "Predict", { features, model_name: "v1-mock" }),
      http.ask({ path: "/v2/models/v1-mock" }),
    ]);
    assert.equal(v1.body["mock"], true);
    assert.deepEqual(v2.body["parameters"], { mock: true });
    assert.deepEqual(viaRpc.metadata.get("x-spillway-mock"), ["true"]);
    assert.equal(described.json["platform"], "spillway_mock");
  });
});

describe("a plain gRPC client", () => {
  const setosa = [5.1, 3.5, 1.4, 0.2];

  it("gets the prediction of iris from ModelInference, and the same numbers as over HTTP", async () => {
    const viaRpc = await rpc.ask("inference.ModelInference", "Predict", {
      features: setosa,
      model_name: "iris",
    });
    const viaHttp = await gateway.post("/predict", { features: setosa, model_name: "iris" });
    assert.deepEqual([viaRpc["class_id"], viaRpc["error"]], [0, ""]);
    assert.equal(viaHttp.body["label"], "setosa");
    assert.equal(Math.fround(viaHttp.body["confidence"] as number), viaRpc["confidence"]);
  });

  it("reaches the stated accuracy of iris with ModelInfer, raw and typed", async () => {
    const { correct, labels, inputs } = heldOut("iris");
    const shape = [inputs.length, 4];
    const input = { name: "features", datatype: "FP32", shape };
    const raw = Buffer.from(Float32Array.from(inputs.flat()).buffer);
    const service = "inference.GRPCInferenceService";
    const asRaw = await rpc.ask(service, "ModelInfer", {
      model_name: "iris",
      inputs: [input],
      raw_input_contents: [raw],
    });
    const asTyped = await rpc.ask(service, "ModelInfer", {
      model_name: "iris",
      model_version: "1",
      inputs: [{ ...input, contents: { fp32_contents: inputs.flat() } }],
    });
    const [bytes] = asRaw["raw_output_contents"] as [Buffer];
    const fromRaw = new Float32Array(Uint8Array.from(bytes).buffer);
    const [output] = asTyped["outputs"] as [{ contents: { fp32_contents: number[] } }];
    assert.deepEqual([...fromRaw], output.contents.fp32_contents);
    assert.equal(countEqual(bestOfRows([...fromRaw], inputs.length), labels), correct);
    assert.deepEqual([asRaw["model_name"], asRaw["model_version"]], ["iris", "1"]);
  });

  it("streams predictions and gets one answer a message, in order", async () => {
    const { inputs } = heldOut("iris");
    const messages = inputs.map((features, i) => ({
      model_name: "iris",
      id: String(i),
      inputs: [
        { name: "features", datatype: "FP32", shape: [1, 4], contents: { fp32_contents: [...features] } },
      ],
    }));
    const answers = await rpc.stream("inference.GRPCInferenceService", "ModelStreamInfer", messages);
    const ids = answers.map((answer) => (answer["infer_response"] as Message)["id"]);
    assert.deepEqual(
      ids,
      inputs.map((_, i) => String(i)),
    );
  });

  it("finds the server healthy, and what it does not know unknown", async () => {
    const health = "grpc.health.v1.Health";
    for (const service of ["", "inference.ModelInference", "inference.GRPCInferenceService"])
      assert.deepEqual(await rpc.ask(health, "Check", { service }), { status: "SERVING" });
    const unknown = await rpc.call(health, "Check", { service: "no.such.Service" });
    assert.equal(unknown.code, 5);
    const service = "inference.GRPCInferenceService";
    assert.deepEqual(await rpc.ask(service, "ServerLive", {}), { live: true });
    assert.deepEqual(await rpc.ask(service, "ServerReady", {}), { ready: true });
    assert.deepEqual(await rpc.ask(service, "ModelReady", { name: "iris" }), { ready: true });
    assert.deepEqual(await rpc.ask(service, "ModelReady", { name: "iris", version: "7" }), { ready: false });
  });

  for (const version of ["v1", "v1alpha"]) {
    it(`lists services by reflection ${version}, and the files that describe them`, async () => {
      const answers = await rpc.stream(
        `grpc.reflection.${version}.ServerReflection`,
        "ServerReflectionInfo",
        [
          { list_services: "" },
          { file_containing_symbol: "inference.ModelInference" },
          { file_containing_symbol: "no.such.Symbol" },
        ],
      );
      const [listed, described, unknown] = answers;
      const { service } = listed!["list_services_response"] as { service: { name: string }[] };
      const names = service.map(({ name }) => name);
      for (const name of [
        "inference.GRPCInferenceService",
        "inference.ModelInference",
        "grpc.health.v1.Health",
      ])
        assert.ok(names.includes(name), names.join(", "));
      const files = described!["file_descriptor_response"] as { file_descriptor_proto: Buffer[] };
      assert.ok(files.file_descriptor_proto.some((file) => file.includes("PredictRequest")));
      assert.equal((unknown!["error_response"] as { error_code: number }).error_code, 5);
    });
  }
});
