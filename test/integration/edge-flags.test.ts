// Every policy, sure and unsure, with the cloud there and away; budgets, pauses, audits; what waits arrives once.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { startCloud, type CloudSimulator } from "@spillway/simulator";
import {
  createDataFolder,
  digit,
  startEdgeGateway,
  type EdgeAnswer,
  type EdgeGateway,
} from "../harness/edge-gateway.ts";
import { repositoryRoot } from "../harness/gateway.ts";
import { until } from "../harness/until.ts";

const token = "api_device_token_0001";
const classNames = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
/** An eight that the model takes for a two, with 0.64. */
const unsure = readFileSync(join(repositoryRoot, "models/digits/heldout/0524-8.png"));
const sure = digit(7);

const id = (number: number): string => `det_${String(number).padStart(27, "0")}`;

/** Detectors of each policy, the last without a model. */
const ids = {
  default: id(1),
  edge_answers_with_escalation: id(2),
  no_cloud: id(3),
  disabled: id(4),
  none: id(5),
  strict: id(6),
};

const question = { query: "Which digit is this?", mode: "MULTI_CLASS", classNames };

async function start(
  t: TestContext,
  more: object = {},
): Promise<{ gateway: EdgeGateway; simulator: CloudSimulator }> {
  const simulator = await startCloud({
    tokens: [token],
    detectors: Object.entries(ids).map(([name, detector]) => ({
      id: detector,
      name,
      query: question.query,
      mode: "MULTI_CLASS",
      modeConfiguration: { class_names: classNames },
    })),
    truth: () => ({ label: "8", confidence: 0.99 }),
  });
  t.after(() => simulator.close());
  const named = ["default", "edge_answers_with_escalation", "no_cloud", "disabled"] as const;
  const gateway = await startEdgeGateway(t, {
    dataFolder: createDataFolder(t),
    edge: {
      cloud: { origin: simulator.url, token, timeout: "3s" },
      detectors: [
        ...named.map((policy) => ({ id: ids[policy], ...question, model: "digits", policy })),
        { id: ids.none, ...question },
        { id: ids.strict, ...question, policy: "no_cloud" },
      ],
      auditRate: 0,
      ...more,
    },
  });
  return { gateway, simulator };
}

/** Who answered what, and why it did or did not go to the cloud. */
function told({ status, headers, body }: EdgeAnswer): string {
  const result = body["result"] as { readonly label?: string } | null | undefined;
  const words = [
    String(status),
    headers.get("x-spillway-answered-by") ?? "-",
    result === undefined ? "-" : (result?.label ?? "null"),
    headers.get("x-spillway-escalation") ?? "-",
    headers.get("x-spillway-withheld") ?? "-",
    body["done_processing"] === false ? "more may come" : "done",
  ];
  return words.join(" ");
}

const ask = async (gateway: EdgeGateway, detector: string, picture: Buffer, query = ""): Promise<string> =>
  told(await gateway.ask(detector, picture, { query }));

test("every policy with the cloud there", async (t) => {
  const { gateway, simulator } = await start(t);
  // The simulated cloud never says that it is done.
  const table: [detector: string, picture: Buffer, query: string, expected: string][] = [
    [ids.default, sure, "", "200 edge 7 - - done"],
    [ids.default, unsure, "", "200 cloud 8 unsure - more may come"],
    [ids.default, unsure, "confidence_threshold=0.5", "200 edge 2 - - done"],
    [ids.default, sure, "human_review=ALWAYS", "200 cloud 8 human_review - more may come"],
    [ids.default, unsure, "human_review=NEVER", "200 cloud 8 unsure - more may come"],
    [ids.edge_answers_with_escalation, sure, "", "200 edge 7 - - done"],
    [ids.edge_answers_with_escalation, unsure, "", "200 edge 2 unsure - more may come"],
    [ids.edge_answers_with_escalation, unsure, "", "200 edge 2 - cooldown done"],
    [ids.edge_answers_with_escalation, sure, "human_review=ALWAYS", "400 - - - - done"],
    [ids.no_cloud, sure, "", "200 edge 7 - - done"],
    [ids.no_cloud, unsure, "", "200 edge 2 - - done"],
    [ids.disabled, sure, "", "200 cloud 8 disabled - more may come"],
    [ids.none, sure, "", "200 cloud 8 no_local_model - more may come"],
    [ids.strict, sure, "", "503 - - - - done"],
  ];
  for (const [detector, picture, query, expected] of table)
    assert.equal(await ask(gateway, detector, picture, query), expected, `${detector} ${query}`);
  await until("what was sent behind an answer", () =>
    Promise.resolve(simulator.cloud.queries().length === 6),
  );
  assert.ok(simulator.cloud.queries().every(({ sent }) => sent === 1));
});

test("every policy with the cloud away, and what arrives when it is back: each once", async (t) => {
  const { gateway, simulator } = await start(t);
  simulator.faults.set([{ status: 503 }]);
  const table: [detector: string, picture: Buffer, query: string, expected: string][] = [
    [ids.default, sure, "", "200 edge 7 - - done"],
    [ids.default, unsure, "", "200 edge 2 unsure cloud_failed more may come"],
    [ids.default, sure, "human_review=ALWAYS", "200 edge 7 human_review cloud_ more may come"],
    [ids.edge_answers_with_escalation, unsure, "", "200 edge 2 unsure - more may come"],
    [ids.no_cloud, unsure, "", "200 edge 2 - - done"],
    [ids.disabled, sure, "", "200 later null disabled cloud_failed more may come"],
    [ids.none, sure, "", "200 later null no_local_model cloud_failed more may come"],
    [ids.default, unsure, "want_async=True", "200 later null - - more may come"],
  ];
  for (const [detector, picture, query, expected] of table) {
    const answer = await ask(gateway, detector, picture, query);
    assert.equal(
      answer.replace(/cloud_\w+/, (word) => (expected.includes(word) ? word : "cloud_")),
      expected,
      `${detector} ${query}`,
    );
  }
  const before = await gateway.call("GET", "/device-api/v1/image-queries?page_size=50");
  const waiting = (before.body["results"] as { id: string; done_processing: boolean }[]).filter(
    (each) => !each.done_processing,
  );
  assert.equal(waiting.length, 6);
  simulator.faults.set([]);
  await until("all that waited", () => Promise.resolve(simulator.cloud.queries().length === 6));
  assert.deepEqual(
    simulator.cloud
      .queries()
      .map((query) => query.id)
      .toSorted(),
    waiting.map((query) => query.id).toSorted(),
  );
  for (const { id: queryId } of waiting) {
    const now = await gateway.call("GET", `/device-api/v1/image-queries/${queryId}`);
    assert.equal((now.body["result"] as { label?: unknown } | null)?.label, "8", queryId);
  }
});

test("a budget ends escalations, not answers; audits count", async (t) => {
  const { gateway, simulator } = await start(t, { escalationsPerMonth: 2, auditRate: 1 });
  assert.equal(await ask(gateway, ids.default, sure), "200 edge 7 audit - done");
  assert.equal(await ask(gateway, ids.default, unsure), "200 cloud 8 unsure - more may come");
  assert.equal(await ask(gateway, ids.default, unsure), "200 edge 2 - budget done");
  assert.equal(await ask(gateway, ids.default, sure), "200 edge 7 - budget done");
  assert.equal(await ask(gateway, ids.none, sure), "429 - - - - done");
  await until("the audit", () => Promise.resolve(simulator.cloud.queries().length === 2));
  const audit = simulator.cloud.queries().find(({ metadata }) => metadata?.["is_edge_audit"] === true);
  const kept = await gateway.call("GET", `/device-api/v1/image-queries/${audit?.id}`);
  assert.equal(
    (kept.body["result"] as { label?: unknown }).label,
    "7",
    "an audit changes nothing that was answered",
  );
});

test("a budget is kept over restarts", async (t) => {
  const simulator = await startCloud({
    tokens: [token],
    detectors: [
      {
        id: ids.default,
        name: "d",
        query: "?",
        mode: "MULTI_CLASS",
        modeConfiguration: { class_names: classNames },
      },
    ],
  });
  t.after(() => simulator.close());
  const dataFolder = createDataFolder(t);
  const edge = {
    cloud: { origin: simulator.url, token },
    detectors: [{ id: ids.default, ...question, model: "digits", escalationsPerMonth: 1 }],
  };
  const first = await startEdgeGateway(t, { dataFolder, edge });
  assert.match(await ask(first, ids.default, unsure), /^200 cloud/);
  await first.close({ graceMs: 0 });
  const second = await startEdgeGateway(t, { dataFolder, edge });
  assert.equal(await ask(second, ids.default, unsure), "200 edge 2 - budget done");
});

test("who leaves takes the call of the cloud along; nothing is kept for it", async (t) => {
  const { gateway, simulator } = await start(t);
  simulator.cloud.set({ latencyMs: 2_000 });
  const abort = new AbortController();
  const asked = fetch(`${gateway.edgeUrl}/image-queries?detector_id=${ids.none}`, {
    method: "POST",
    headers: { "content-type": "image/png" },
    body: new Uint8Array(sure),
    signal: abort.signal,
  });
  await until("the cloud is asked", () => Promise.resolve(simulator.cloud.queries().length === 1));
  abort.abort();
  await assert.rejects(asked);
  const list = await gateway.call("GET", "/device-api/v1/image-queries");
  assert.equal(list.body["count"], 0);
});

test("a query sent twice with an id of its own is one query", async (t) => {
  const { gateway, simulator } = await start(t);
  const own = "iq_2abcdefghijklmnopqrstuvwxyz";
  const first = await gateway.ask(ids.default, unsure, { query: `image_query_id=${own}` });
  const second = await gateway.ask(ids.default, unsure, { query: `image_query_id=${own}` });
  assert.equal(first.body["id"], own);
  assert.deepEqual(second.body["result"], first.body["result"]);
  assert.equal(simulator.cloud.query(own)?.sent, 1);
  assert.equal((await gateway.ask(ids.none, unsure, { query: `image_query_id=${own}` })).status, 400);
});
