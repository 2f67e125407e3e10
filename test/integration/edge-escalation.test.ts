// Image queries that go to the cloud behind their answers: at once, after an outage, with their callers' tokens, with labels.
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { startCloud, type CloudOptions, type CloudSimulator } from "@spillway/simulator";
import { digit, startEdgeGateway, whichDigit } from "../harness/edge-gateway.ts";
import { until } from "../harness/until.ts";

const token = "api_device_token_000001";
const detectors = [
  {
    id: whichDigit,
    name: "which-digit",
    query: "Which digit is this?",
    mode: "MULTI_CLASS",
    modeConfiguration: { class_names: ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"] },
  },
] as const;

async function openCloud(t: TestContext, options: CloudOptions = {}, port = 0): Promise<CloudSimulator> {
  const cloud = await startCloud(
    { tokens: [token, "api_caller_token_000002"], detectors, ...options },
    { port },
  );
  t.after(() => cloud.close());
  return cloud;
}

const answersFirst = { defaults: { policy: "edge_answers_with_escalation" } };
/** No model reaches it: every answer is unsure. */
const unsure = { query: "confidence_threshold=1" };

test("an unsure answer is given at once, and becomes the cloud's when that has one", async (t) => {
  const cloud = await openCloud(t, { truth: () => ({ label: "3", confidence: 0.99 }), answerAfterMs: 100 });
  const gateway = await startEdgeGateway(t, {
    edge: { cloud: { origin: cloud.url, token }, ...answersFirst },
  });
  const { status, body } = await gateway.ask(whichDigit, digit(8), unsure);
  assert.equal(status, 200);
  assert.equal(body["done_processing"], false);
  assert.equal((body["result"] as Record<string, unknown>)["label"], "8");
  const id = String(body["id"]);
  const kept = await until("the cloud has it", () => cloud.cloud.query(id));
  assert.equal(kept.sent, 1);
  const told = kept.metadata?.["edge_result"] as Record<string, unknown>;
  assert.equal(told["label"], 8);
  assert.match(String(told["model"]), /^digits\//);
  const later = await until("the answer is the cloud's", async () => {
    const query = await gateway.call("GET", `/device-api/v1/image-queries/${id}`);
    const result = query.body["result"] as Record<string, unknown>;
    return result["from_edge"] === true
      ? undefined
      : { result, metadata: query.body["metadata"] as Record<string, unknown> };
  });
  const { result, metadata } = later;
  assert.deepEqual([result["label"], result["source"]], ["3", "ALGORITHM"]);
  assert.deepEqual([metadata["is_from_edge"], "edge_result" in metadata], [undefined, true]);
});

test("what is asked and labelled while the cloud is away reaches it when it is back, each once", async (t) => {
  const first = await openCloud(t);
  const { port, url } = first;
  await first.close();
  const gateway = await startEdgeGateway(t, { edge: { cloud: { origin: url, token } } });
  const ids: string[] = [];
  for (let n = 0; n < 3; n++) {
    const { status, body } = await gateway.ask(whichDigit, digit(8), unsure);
    assert.equal(status, 200);
    assert.equal(body["done_processing"], false);
    assert.equal((body["result"] as Record<string, unknown>)["label"], "8");
    ids.push(String(body["id"]));
  }
  const odd = await gateway.call("GET", "/device-api/v1/image-queries/no%20such%20id");
  assert.equal(odd.status, 404, "what no id looks like is nowhere, whether or not the cloud can be asked");
  const label = { image_query_id: ids[1], label: "7" };
  assert.equal((await gateway.call("POST", "/device-api/v1/labels", label)).status, 201);
  const cloud = await openCloud(t, {}, port);
  await until("all are there", () => cloud.cloud.queries().length === 3 && cloud.cloud.labels().length === 1);
  assert.deepEqual(
    cloud.cloud.queries().map(({ id }) => id),
    ids,
  );
  assert.ok(cloud.cloud.queries().every(({ sent }) => sent === 1));
  assert.equal(cloud.cloud.labels()[0]?.queryId, ids[1]);
});

test("without a token of the device what waits goes with its caller's", async (t) => {
  const cloud = await openCloud(t);
  const gateway = await startEdgeGateway(t, { edge: { cloud: { origin: cloud.url }, ...answersFirst } });
  const headers = { "x-api-token": "api_caller_token_000002" };
  const { body } = await gateway.ask(whichDigit, digit(8), { ...unsure, headers });
  const kept = await until("the cloud has it", () => cloud.cloud.query(String(body["id"])));
  assert.equal(kept.token, "token 2");
});
