/** The status monitor of a real gateway: what its page is told of answers, escalations and restarts, and of the cloud. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { hourMs } from "../../packages/gateway/src/edge/monitor/detector-activity.ts";
import type { StatusActivity, StatusData } from "../../packages/gateway/src/edge/monitor/status-data.ts";
import {
  createDataFolder,
  deviceToken,
  digit,
  isSeven,
  startDigitCloud,
  startEdgeGateway,
  whichDigit,
  type EdgeGateway,
} from "../harness/edge-gateway.ts";
import { startBrowser } from "../harness/browser.ts";
import { until } from "../harness/until.ts";

const unsure = { query: "confidence_threshold=1" };

async function statusOf(gateway: EdgeGateway): Promise<StatusData> {
  return (await gateway.call("GET", "/status/data.json")).body as unknown as StatusData;
}

test("tells of each query why it was or was not sent, and has all of it again after a restart", async (t) => {
  const cloud = await startDigitCloud(t);
  const dataFolder = createDataFolder(t);
  const edge = { cloud: { origin: cloud.url, token: deviceToken } };
  const gateway = await startEdgeGateway(t, { edge, dataFolder });
  assert.equal((await gateway.ask(whichDigit, digit(7))).status, 200);
  assert.equal((await gateway.ask(whichDigit, digit(8), unsure)).status, 200);
  const status = await statusOf(gateway);
  const [asked, sure] = status.recent;
  assert.equal(sure?.answer, "7");
  assert.match(sure?.why ?? "", /at or above the threshold of \d+ %: answered here\.$/);
  assert.match(asked?.why ?? "", /below the threshold of 100 %: the cloud was asked\.$/);
  assert.deepEqual(
    [asked?.answeredBy, asked?.comparison?.answer, asked?.comparison?.agreed],
    ["cloud", "8", true],
  );
  assert.equal(status.cloud?.state, "reachable");
  const detector = status.detectors.find(({ id }) => id === whichDigit);
  assert.deepEqual(detector?.lastHour, { queries: 2, escalations: 1, audits: 0, failures: 0 });
  assert.deepEqual(detector?.agreement.escalation, { agreed: 1, compared: 1 });
  assert.deepEqual([detector?.ready, detector?.model?.name], [true, "digits"]);
  const picture = await fetch(`${gateway.edgeUrl}/status/pictures/${asked?.id}`);
  assert.ok(digit(8).equals(Buffer.from(await picture.arrayBuffer())));
  await gateway.close({ graceMs: 0 });

  const again = await startEdgeGateway(t, { edge, dataFolder });
  const restored = await until("the past is read", async () => {
    const found = await statusOf(again);
    return found.restored && found.recent.length === 2 && found;
  });
  assert.deepEqual(
    restored.recent.map(({ id, why, comparison }) => ({ id, why, comparison })),
    status.recent.map(({ id, why, comparison }) => ({ id, why, comparison })),
  );
  for (const [index, { latencyMs, localMs }] of restored.recent.entries()) {
    const before = status.recent[index];
    assert.ok(typeof latencyMs === "number" && typeof localMs === "number");
    assert.ok(latencyMs >= localMs && localMs > 0);
    // Kept when the query ended, told to the page a moment later.
    assert.ok(Math.abs(latencyMs - (before?.latencyMs ?? 0)) < 50);
    assert.ok(Math.abs(localMs - (before?.localMs ?? 0)) < 0.01);
  }
  assert.deepEqual(
    restored.recent.map(({ answeredBy }) => answeredBy),
    status.recent.map(({ answeredBy }) => answeredBy),
  );
  assert.deepEqual(restored.detectors.find(({ id }) => id === whichDigit)?.lastDay, detector?.lastDay);
  const { slots } = (await again.call("GET", "/status/activity.json?span=days"))
    .body as unknown as StatusActivity;
  assert.deepEqual(slots.at(-1)?.answered, { edge: 1, cloud: 1, later: 0, none: 0 });
});

test("makes no data directory while nothing happens, also when somebody looks", async (t) => {
  const dataFolder = path.join(createDataFolder(t), "none");
  const gateway = await startEdgeGateway(t, { dataFolder });
  const status = await statusOf(gateway);
  assert.equal(status.restored, true);
  assert.equal(status.cloud, null);
  assert.deepEqual(
    status.detectors.map(({ id }) => id),
    [whichDigit, isSeven],
  );
  assert.match(await (await fetch(`${gateway.edgeUrl}/metrics`)).text(), /spillway_edge_detector_ready/);
  assert.equal(existsSync(dataFolder), false);
});

test("has a report about the hour that the cloud takes", async (t) => {
  const cloud = await startDigitCloud(t);
  const gateway = await startEdgeGateway(t, { edge: { cloud: { origin: cloud.url, token: deviceToken } } });
  await gateway.ask(whichDigit, digit(7));
  const { body } = await gateway.call("GET", "/status/metrics.json");
  const activity = body["activity_metrics"] as Readonly<Record<string, unknown>>;
  const hour = new Date(Date.now() - hourMs).toISOString().slice(0, 13).replace("T", "_");
  assert.equal(activity["activity_hour"], hour);
  assert.match(JSON.stringify(body["detector_details"]), /Which digit is this/);
  assert.deepEqual(
    (await gateway.call("GET", "/status/edge-config")).body,
    (await gateway.call("GET", "/edge-config")).body,
  );
});

test("shows a page in a browser", { timeout: 60_000 }, async (t) => {
  const browser = await startBrowser(t);
  if (browser === undefined) return;
  const gateway = await startEdgeGateway(t);
  await gateway.ask(whichDigit, digit(4));
  const page = await browser.newPage();
  await page.open(`${gateway.edgeUrl}/status`);
  await page.waitFor("both detectors", `document.querySelectorAll(".detectors tbody tr").length === 2`);
  await page.evaluate(`document.querySelector("#recent-body").scrollIntoView()`);
  await page.waitFor("the picture", `document.querySelector(".thumb img")?.naturalWidth > 0`);
  assert.deepEqual(page.complaints, []);
});
