// Clients that send a call again: one query, one escalation, one answer.
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { startCloud, type CloudSimulator } from "@spillway/simulator";
import { digit, startEdgeGateway, whichDigit, type EdgeGateway } from "../harness/edge-gateway.ts";
import { until } from "../harness/until.ts";

const token = "api_device_token_0001";
const classNames = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
const unsure = "confidence_threshold=1";
const named = (id: string) => ({ query: unsure, headers: { "x-request-id": id } });

async function setup(t: TestContext): Promise<{ simulator: CloudSimulator; gateway: EdgeGateway }> {
  const simulator = await startCloud({
    tokens: [token],
    truth: () => ({ label: "9", confidence: 0.99 }),
    detectors: [
      {
        id: whichDigit,
        name: "which-digit",
        query: "Which digit is this?",
        mode: "MULTI_CLASS",
        modeConfiguration: { class_names: classNames },
      },
    ],
  });
  t.after(() => simulator.close());
  const detector = { id: whichDigit, query: "Which digit is this?", mode: "MULTI_CLASS", classNames };
  const gateway = await startEdgeGateway(t, {
    edge: {
      cloud: { origin: simulator.url, token, timeout: "2s", connectTimeout: "500ms" },
      detectors: [{ ...detector, model: "digits" }],
      auditRate: 0,
    },
  });
  return { simulator, gateway };
}

async function queriesOf(gateway: EdgeGateway): Promise<unknown> {
  return (await gateway.call("GET", `/device-api/v1/image-queries?detector_id=${whichDigit}`)).body["count"];
}

test("a repeated call is told of the first one's query; another picture, id or parameter is another query", async (t) => {
  const { simulator, gateway } = await setup(t);
  const first = await gateway.ask(whichDigit, digit(8), named("req_uu1"));
  const again = await gateway.ask(whichDigit, digit(8), named("req_uu1"));
  assert.equal(first.status, 200);
  assert.deepEqual(again.body, first.body);
  assert.equal(simulator.cloud.queries().length, 1);
  assert.equal(await queriesOf(gateway), 1);
  const others = [
    await gateway.ask(whichDigit, digit(7), named("req_uu1")),
    await gateway.ask(whichDigit, digit(8), named("req_uu2")),
    await gateway.ask(whichDigit, digit(8), { ...named("req_uu1"), query: "confidence_threshold=0.1" }),
    await gateway.ask(whichDigit, digit(8), { query: unsure }),
    await gateway.ask(whichDigit, digit(8), { query: unsure }),
  ];
  const ids = [first, ...others].map(({ body }) => body["id"]);
  assert.equal(new Set(ids).size, ids.length);
});

test("sent again while the first is on its way: both get one answer", async (t) => {
  const { simulator, gateway } = await setup(t);
  const answers = await Promise.all(
    Array.from({ length: 6 }, () => gateway.ask(whichDigit, digit(8), named("req_uu1"))),
  );
  for (const { status, body } of answers) {
    assert.equal(status, 200);
    assert.deepEqual(body, answers[0]?.body);
  }
  assert.equal(simulator.cloud.queries().length, 1);
  assert.equal(await queriesOf(gateway), 1);
});

test("the client gave up before the cloud's answer and asks again: the query keeps its id", async (t) => {
  const { simulator, gateway } = await setup(t);
  simulator.cloud.set({ latencyMs: 700 });
  const url = `${gateway.edgeUrl}/device-api/v1/image-queries?detector_id=${whichDigit}&${unsure}`;
  const call = { method: "POST", headers: { "content-type": "image/png", "x-request-id": "req_uu1" } };
  const given = fetch(url, { ...call, body: new Uint8Array(digit(8)), signal: AbortSignal.timeout(300) });
  await assert.rejects(given, { name: "TimeoutError" });
  const answer = await gateway.ask(whichDigit, digit(8), named("req_uu1"));
  assert.equal(answer.status, 200);
  await until("the cloud has had its time", () => simulator.cloud.queries().length > 0);
  assert.deepEqual(
    simulator.cloud.queries().map(({ id }) => id),
    [answer.body["id"]],
  );
});

test("queued with the cloud away: the repetition queues nothing", async (t) => {
  const { simulator, gateway } = await setup(t);
  await simulator.close();
  const first = await gateway.ask(whichDigit, digit(8), named("req_uu1"));
  const again = await gateway.ask(whichDigit, digit(8), named("req_uu1"));
  assert.deepEqual(again.body, first.body);
  assert.equal(await queriesOf(gateway), 1);
  const { body } = await gateway.call("GET", "/status/data.json");
  const [shown] = body["detectors"] as { lastHour: { queries: number; escalations: number } }[];
  assert.deepEqual([shown?.lastHour.queries, shown?.lastHour.escalations], [1, 1]);
});
