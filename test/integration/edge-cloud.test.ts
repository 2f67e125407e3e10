// The edge in front of a simulated cloud: who answers, what goes there, and what happens when it is away.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { startCloud, type CloudSimulator } from "@spillway/simulator";
import { createDataFolder, digit, isSeven, startEdgeGateway, whichDigit } from "../harness/edge-gateway.ts";
import { until } from "../harness/until.ts";

const token = "api_device_token_0001";

const digits = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
const cloudDetectors = [
  {
    id: whichDigit,
    name: "which-digit",
    query: "Which digit is this?",
    mode: "MULTI_CLASS",
    modeConfiguration: { class_names: digits },
  },
  { id: isSeven, name: "is-seven", query: "Is this a seven?" },
] as const;

/** A cloud that knows better: it always says 9, or NO, and is quite sure. */
async function cloudOf(t: TestContext): Promise<CloudSimulator> {
  const simulator = await startCloud({
    tokens: [token],
    detectors: cloudDetectors,
    truth: ({ mode }) => ({ label: mode === "BINARY" ? "NO" : "9", confidence: 0.99 }),
  });
  t.after(() => simulator.close());
  return simulator;
}

function detector(id: string, more: object = {}) {
  const question =
    id === whichDigit
      ? { query: "Which digit is this?", mode: "MULTI_CLASS", classNames: digits, model: "digits" }
      : { query: "Is this a seven?", model: { name: "digits", yes: ["7"] } };
  return { id, ...question, ...more };
}

function edgeOf(simulator: CloudSimulator, more: object = {}) {
  return {
    cloud: { origin: simulator.url, token, timeout: "2s", connectTimeout: "500ms" },
    detectors: [detector(whichDigit), detector(isSeven)],
    auditRate: 0,
    ...more,
  };
}

function labelOf(body: Record<string, unknown>): unknown {
  return (body["result"] as Record<string, unknown> | null)?.["label"];
}

test("sure: answered here, nothing goes to the cloud; unsure: the cloud's answer under the edge's id", async (t) => {
  const simulator = await cloudOf(t);
  const gateway = await startEdgeGateway(t, { edge: edgeOf(simulator) });
  const sure = await gateway.ask(whichDigit, digit(7));
  assert.equal(labelOf(sure.body), "7");
  assert.equal(simulator.cloud.queries().length, 0);
  const unsure = await gateway.ask(whichDigit, digit(8), {
    query: "confidence_threshold=1&inspection_id=line-3",
  });
  assert.equal(unsure.status, 200);
  assert.equal(labelOf(unsure.body), "9");
  assert.equal(unsure.headers.get("x-spillway-answered-by"), "cloud");
  assert.equal(unsure.headers.get("x-spillway-escalation"), "unsure");
  const [query] = simulator.cloud.queries();
  assert.equal(query?.id, unsure.body["id"]);
  assert.equal(query?.inspectionId, "line-3");
  assert.deepEqual(query?.picture, digit(8));
  assert.equal((query?.metadata?.["edge_result"] as Record<string, unknown> | undefined)?.["label"], 8);
});

test("the cloud away: confident answers go on, unsure ones are given and queued, nobody waits twice", async (t) => {
  const simulator = await cloudOf(t);
  const gateway = await startEdgeGateway(t, { edge: edgeOf(simulator) });
  await simulator.close();
  const first = await gateway.ask(whichDigit, digit(8), { query: "confidence_threshold=1" });
  assert.equal(first.status, 200);
  assert.equal(labelOf(first.body), "8");
  assert.equal(first.body["done_processing"], false);
  assert.equal(first.headers.get("x-spillway-withheld"), "cloud_unreachable");
  const second = await gateway.ask(whichDigit, digit(8), { query: "confidence_threshold=1" });
  assert.equal(second.body["done_processing"], false);
  const sure = await gateway.ask(whichDigit, digit(7));
  assert.equal(sure.body["done_processing"], true);
  const again = await gateway.call("GET", `/device-api/v1/image-queries/${String(first.body["id"])}`);
  assert.deepEqual(again.body, first.body);
});

test("a restart with the cloud away: detectors, queries, pictures, budgets and the client's first calls", async (t) => {
  const simulator = await cloudOf(t);
  const learnt = simulator.cloud.addDetector({
    name: "door",
    query: "Is the door open?",
    confidenceThreshold: 0.7,
  });
  const dataFolder = createDataFolder(t);
  const edge = edgeOf(simulator);
  const before = await startEdgeGateway(t, { edge, dataFolder });
  assert.equal((await before.call("GET", `/device-api/v1/detectors/${learnt.id}`)).status, 200);
  const asked = await before.ask(whichDigit, digit(8), { query: "confidence_threshold=1" });
  const real = await before.call("GET", "/device-api/v1/me");
  await before.close({ graceMs: 0 });
  await simulator.close();
  const after = await startEdgeGateway(t, { edge, dataFolder });
  const known = await after.call("GET", `/device-api/v1/detectors/${learnt.id.toLowerCase()}`);
  assert.equal(known.status, 200);
  assert.equal(known.body["confidence_threshold"], 0.7);
  const list = await after.call("GET", "/device-api/v1/detectors?name=door");
  assert.equal(list.body["count"], 1);
  const me = await after.call("GET", "/device-api/v1/me");
  assert.equal(me.status, 200);
  assert.ok("email" in me.body && "is_superuser" in me.body);
  assert.notEqual(me.body["email"], "edge@localhost");
  assert.deepEqual(me.body, real.body);
  const token404 = await after.call(
    "GET",
    "/device-api/v1/api-tokens/by-snippet/api_device_token_00",
    undefined,
    { "x-api-token": token },
  );
  assert.equal(token404.status, 404);
  const query = await after.call("GET", `/device-api/v1/image-queries/${String(asked.body["id"])}`);
  assert.equal(labelOf(query.body), "9");
  const picture = await fetch(
    `${after.edgeUrl}/device-api/v1/image-queries/${String(asked.body["id"])}/image`,
  );
  assert.deepEqual(Buffer.from(await picture.arrayBuffer()), digit(8));
  assert.equal(labelOf((await after.ask(whichDigit, digit(7))).body), "7");
});

test("want_async is served here: at once without a result, then with the edge's, unsure ones escalated", async (t) => {
  const simulator = await cloudOf(t);
  const gateway = await startEdgeGateway(t, { edge: edgeOf(simulator) });
  const asked = await gateway.ask(whichDigit, digit(7), { query: "want_async=True" });
  assert.equal(asked.status, 200);
  assert.equal(asked.body["result"], null);
  assert.equal(asked.body["done_processing"], false);
  const path = `/device-api/v1/image-queries/${String(asked.body["id"])}`;
  const done = await until("the answer", async () => {
    const { body } = await gateway.call("GET", path);
    return body["result"] === null ? false : body;
  });
  assert.equal(labelOf(done), "7");
  assert.equal(done["done_processing"], true);
  assert.equal(simulator.cloud.queries().length, 0);
});

test("what is not answered here goes to the cloud as it is; what a mistyped path asks of the front door does not", async (t) => {
  const simulator = await cloudOf(t);
  const gateway = await startEdgeGateway(t, { edge: edgeOf(simulator) });
  const info = await gateway.call("GET", "/device-api/v1/month-to-date-account-info");
  assert.equal(info.status, 200);
  assert.equal(info.body["iqs"], 0);
  const method = await gateway.call("PUT", "/device-api/v1/detectors", {});
  assert.equal(method.status, 405);
  const unknown = await gateway.call("GET", "/nothing/here");
  assert.equal(unknown.status, 404);
  const front = await fetch(`${gateway.url}/nothing/here`);
  assert.equal(front.status, 404);
  const reasons = gateway.events
    .filter(({ event }) => event === "edge_forwarded")
    .map(({ fields }) => fields["reason"]);
  assert.deepEqual(reasons, ["unknown_path", "other_method", "unknown_path"]);
});

test("a detector is made in the cloud and known here at once; a label goes after its query", async (t) => {
  const simulator = await cloudOf(t);
  const gateway = await startEdgeGateway(t, { edge: edgeOf(simulator) });
  const made = await gateway.call("POST", "/device-api/v1/detectors", {
    name: "cat",
    query: "Is there a cat?",
  });
  assert.equal(made.status, 201);
  const id = String(made.body["id"]);
  await simulator.close();
  assert.equal(
    (await gateway.call("GET", `/device-api/v1/detectors/${id}`)).body["query"],
    "Is there a cat?",
  );
  const asked = await gateway.ask(whichDigit, digit(7));
  const label = await gateway.call("POST", "/device-api/v1/labels", {
    label: "1",
    image_query_id: asked.body["id"],
    rois: null,
  });
  assert.equal(label.status, 201);
  const query = await gateway.call("GET", `/device-api/v1/image-queries/${String(asked.body["id"])}`);
  const result = query.body["result"] as Record<string, unknown>;
  assert.deepEqual([result["label"], result["source"], result["confidence"]], ["1", "USER", 1]);
  const wrong = await gateway.call("POST", "/device-api/v1/labels", {
    label: "cat",
    image_query_id: asked.body["id"],
  });
  assert.equal(wrong.status, 400);
  assert.match(String(wrong.body["detail"]), /expected 0, 1, 2/);
});
