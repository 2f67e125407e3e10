/** Pools of servers that speak only ModelInference/Predict, behind every door of a whole gateway. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { status } from "@grpc/grpc-js";
import { grpc, inference } from "@spillway/protocol";
import { startTestGateway, testConfig, type TestGateway } from "../harness/gateway.ts";
import { serveMethods, type Answer, type Answerer } from "../harness/model-server.ts";
import { until } from "../harness/until.ts";

const { SERVING, NOT_SERVING } = grpc.health.v1.HealthCheckResponse.ServingStatus;

/** Class 1 for a positive sum or a text of more than five letters; in-band and other errors on demand. */
function predict(message: Uint8Array): Answer {
  const { features, prompt, modelName } = inference.PredictRequest.decode(message);
  if (modelName !== "sign") return { code: status.NOT_FOUND, details: `no model ${modelName}` };
  if (prompt === "in-band") return inference.PredictResponse.encode({ error: "cannot do that" }).finish();
  if (prompt === "invalid") return { code: status.INVALID_ARGUMENT, details: "not that" };
  const sum = features.reduce((total, value) => total + value, 0);
  const classId = sum > 0 || prompt.length > 5 ? 1 : 0;
  return inference.PredictResponse.encode({ classId, confidence: 0.75 }).finish();
}

async function startPredictServer(test: TestContext, health?: Answerer): Promise<number> {
  const { port, server } = await serveMethods(
    {
      "/inference.ModelInference/Predict": predict,
      ...(health === undefined ? {} : { "/grpc.health.v1.Health/Check": health }),
    },
    {},
  );
  test.after(() => server.forceShutdown());
  return port;
}

function startGatewayFor(test: TestContext, port: number): Promise<TestGateway> {
  return startTestGateway(test, {
    ...testConfig(""),
    repository: undefined,
    pools: [
      {
        name: "predictors",
        dialect: "model-inference",
        endpoints: [`grpc://127.0.0.1:${port}`],
        models: ["sign"],
        maxBatch: 8,
        concurrency: 4,
        timeoutMs: 5_000,
        ca: undefined,
      },
    ],
  });
}

test("/predict, the v2 protocol and metadata", async (test) => {
  const gateway = await startGatewayFor(test, await startPredictServer(test));
  const features = await gateway.post("/predict", { features: [1.5, 2], model_name: "sign" });
  const { latency_ms: latencyMs, ...said } = features.body;
  assert.equal(typeof latencyMs, "number");
  assert.equal(features.status, 200);
  assert.deepEqual(said, {
    class_id: 1,
    confidence: 0.75,
    error: "",
    label: "",
    model_name: "sign",
    model_version: "1",
  });
  const prompt = await gateway.post("/predict", { prompt: "short", model_name: "sign" });
  assert.equal(prompt.body["class_id"], 0);

  const inputs = [{ name: "features", datatype: "FP32", shape: [1, 2], data: [-1, -2] }];
  const infer = await gateway.post("/v2/models/sign/infer", { inputs });
  assert.deepEqual(infer.body["outputs"], [
    { name: "class_id", datatype: "INT32", shape: [1], data: [0] },
    { name: "confidence", datatype: "FP32", shape: [1], data: [0.75] },
  ]);
  const metadata = (await (await fetch(`${gateway.url}/v2/models/sign`)).json()) as { platform: string };
  assert.equal(metadata.platform, "model-inference");
});

test("many at once are answered, each in a call of its own", async (test) => {
  const gateway = await startGatewayFor(test, await startPredictServer(test));
  const answers = await Promise.all(
    Array.from({ length: 40 }, (_, index) =>
      gateway.post("/predict", { features: [index % 2 === 0 ? 1 : -1], model_name: "sign" }),
    ),
  );
  assert.deepEqual(
    answers.map((answer) => answer.body["class_id"]),
    answers.map((_, index) => (index % 2 === 0 ? 1 : 0)),
  );
});

test("what the server refuses, and what it does not take", async (test) => {
  const gateway = await startGatewayFor(test, await startPredictServer(test));
  const ask = async (body: object) => {
    const answer = await gateway.post("/predict", { model_name: "sign", ...body });
    return [answer.status, answer.body["code"], answer.body["error"]];
  };
  assert.deepEqual(await ask({ prompt: "in-band" }), [500, "model_failed", "cannot do that"]);
  assert.deepEqual(await ask({ prompt: "invalid" }), [400, "bad_request", "not that"]);
  const rows = { inputs: [{ name: "features", datatype: "FP32", shape: [2, 1], data: [1, 2] }] };
  const two = await gateway.post("/v2/models/sign/infer", rows);
  assert.equal(two.status, 400);
  assert.match(String(two.body["error"]), /expects \[1,-1\]/);
  const none = await gateway.post("/v2/models/sign/infer", { inputs: [] });
  assert.equal(none.status, 400);
});

test("a server whose health check says no is not used until it says yes", async (test) => {
  let serving: number = NOT_SERVING;
  const port = await startPredictServer(test, () =>
    grpc.health.v1.HealthCheckResponse.encode({ status: serving }).finish(),
  );
  const gateway = await startGatewayFor(test, port);
  const refused = await gateway.post("/predict", { features: [1], model_name: "sign" });
  assert.deepEqual([refused.status, refused.body["code"]], [503, "model_unavailable"]);
  serving = SERVING;
  await until("it is used", () => gateway.catalog.isReady("sign", undefined));
  assert.equal((await gateway.post("/predict", { features: [1], model_name: "sign" })).status, 200);
});
