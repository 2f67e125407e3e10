// Calibration through the front: queries, audits and escalations against a simulated cloud, then the admin calls and the command.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { startCloud, type CloudSimulator } from "@spillway/simulator";
import { seededRandom, type Random } from "../../bench/load/random.ts";
import {
  createDataFolder,
  digit,
  isSeven,
  startEdgeGateway,
  type EdgeGateway,
} from "../harness/edge-gateway.ts";
import { greyPng } from "../harness/grey-png.ts";
import { runSpillway } from "../harness/spillway.ts";
import { until } from "../harness/until.ts";

const token = "api_device_token_0001";
const here = { cwd: import.meta.dirname };
const path = `/admin/edge/detectors/${isSeven}/calibration`;

/** Dim noise of the size of a digit: the model is never quite sure of it. */
function noise(random: Random): Buffer {
  return greyPng(
    8,
    8,
    Uint8Array.from({ length: 64 }, () => Math.floor(60 * random())),
  );
}

async function cloudOf(t: TestContext): Promise<CloudSimulator> {
  const simulator = await startCloud({
    tokens: [token],
    detectors: [{ id: isSeven, name: "is-seven", query: "Is this a seven?" }],
    truth: () => ({ label: "NO", confidence: 0.99 }),
  });
  t.after(() => simulator.close());
  return simulator;
}

function edgeOf(simulator: CloudSimulator, mode: string) {
  return {
    cloud: { origin: simulator.url, token, timeout: "2s", connectTimeout: "500ms" },
    detectors: [
      {
        id: isSeven,
        query: "Is this a seven?",
        model: { name: "digits", yes: ["7"] },
        calibration: { mode, agreement: 0.95 },
      },
    ],
    auditRate: 0,
  };
}

/** The threshold in force for a query that names none; its answer is surer than that and comes from the edge. */
async function ownThreshold(gateway: EdgeGateway, random: Random): Promise<unknown> {
  const answer = await gateway.ask(isSeven, noise(random));
  assert.equal(answer.headers.get("x-spillway-answered-by"), "edge", JSON.stringify(answer.body));
  return answer.body["confidence_threshold"];
}

test("unsure answers become comparisons; fitted calibrations decide, are told, and hold over a restart", async (t) => {
  const simulator = await cloudOf(t);
  const edge = edgeOf(simulator, "automatic");
  const dataFolder = createDataFolder(t);
  const gateway = await startEdgeGateway(t, { edge, dataFolder });
  const before = await gateway.call("GET", path);
  assert.deepEqual([before.status, before.body["model"], before.body["calibration"]], [200, null, null]);
  // All answers are below 1, so all are compared. The cloud says NO, as the model mostly does.
  const random = seededRandom(7);
  for (let round = 0; round < 12; round += 1)
    await Promise.all(
      Array.from({ length: 10 }, async () => {
        const answer = await gateway.ask(isSeven, noise(random), { query: "confidence_threshold=1" });
        assert.equal(answer.headers.get("x-spillway-answered-by"), "cloud", JSON.stringify(answer.body));
      }),
    );
  const fitted = await gateway.call("POST", path);
  assert.equal(fitted.status, 200, JSON.stringify(fitted.body));
  const { model, calibration, choice, threshold, ...rest } = fitted.body as {
    readonly model: string;
    readonly in_use: boolean;
    readonly calibration: { readonly pairs: number };
    readonly choice: { readonly reached: boolean };
    readonly threshold: number;
  };
  assert.deepEqual([model, rest.in_use, calibration.pairs], ["digits@1", true, 120]);
  assert.equal(choice.reached, true);
  assert.ok(threshold > 0.5 && threshold < 0.8, String(threshold));
  assert.equal(await ownThreshold(gateway, random), threshold);

  const shown = await runSpillway(["calibrate", isSeven, "--show", "--url", gateway.url], here);
  assert.equal(shown.code, 0, shown.stderr);
  assert.match(
    shown.stdout,
    /^model +digits@1\nmode +automatic\ncalibration +\w+, of .*, from 120 comparisons/,
  );
  assert.match(shown.stdout, /\nthreshold +0\.\d{4} for an agreement of 95\.00 %\nagreement +99/);

  await gateway.close({ graceMs: 1000 });
  const again = await startEdgeGateway(t, { edge, dataFolder });
  assert.equal(await ownThreshold(again, random), threshold);
  const told = await again.call("GET", path);
  assert.deepEqual([told.body["in_use"], told.body["threshold"]], [true, threshold]);
});

test("too few comparisons are told, by the command's exit code too; unknown detectors are not found", async (t) => {
  const simulator = await cloudOf(t);
  const gateway = await startEdgeGateway(t, { edge: edgeOf(simulator, "suggest") });
  const nothing = await gateway.call("POST", path);
  assert.equal(nothing.status, 404, JSON.stringify(nothing.body));
  await gateway.ask(isSeven, noise(seededRandom(7)), { query: "confidence_threshold=1" });
  await until(
    "the comparison is counted",
    async () => (await gateway.call("GET", path)).body["new_pairs"] === 1,
  );
  const told = await runSpillway(["calibrate", isSeven, "--url", gateway.url], here);
  assert.equal(told.code, 1);
  assert.match(told.stderr, /not calibrated: 1 answers were compared with the cloud; 100 are needed/);
  for (const method of ["GET", "POST"])
    assert.equal((await gateway.call(method, path.replace(isSeven, "det_none"))).status, 404);
});

test("audits of sure answers become comparisons too, once the outbox has sent them", async (t) => {
  const simulator = await cloudOf(t);
  const gateway = await startEdgeGateway(t, { edge: { ...edgeOf(simulator, "suggest"), auditRate: 1 } });
  for (const value of [3, 7]) {
    const answer = await gateway.ask(isSeven, digit(value));
    assert.equal(answer.headers.get("x-spillway-answered-by"), "edge");
  }
  await until(
    "both audits are counted",
    async () => (await gateway.call("GET", path)).body["new_pairs"] === 2,
  );
});

test("without a cloud there is nothing to compare with, and that is said of a known detector", async (t) => {
  const gateway = await startEdgeGateway(t);
  for (const method of ["GET", "POST"]) {
    const known = await gateway.call(method, path);
    assert.equal(known.status, 400);
    assert.match(JSON.stringify(known.body), /edge\.cloud names no cloud/);
    const unknown = await gateway.call(method, path.replace(isSeven, "det_nobody"));
    assert.equal(unknown.status, 404);
  }
});
