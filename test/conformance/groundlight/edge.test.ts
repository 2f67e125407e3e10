/** The groundlight client itself against a gateway, in front of the simulated cloud and without it; where the client is installed. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import path from "node:path";
import { test } from "node:test";
import { startCloud } from "@spillway/simulator";
import { createDataFolder, isSeven, startEdgeGateway, whichDigit } from "../../harness/edge-gateway.ts";
import { repositoryRoot } from "../../harness/gateway.ts";
import { until } from "../../harness/until.ts";

const python = process.env["SPILLWAY_GROUNDLIGHT_PYTHON"];
const token = "api_recorded_client_0001";
const cloudOnly = "det_3CloudOnlyDetector000000001";
const classNames = Array.from({ length: 10 }, (_, n) => String(n));
const detectors = [
  { id: isSeven, name: "is-seven", query: "Is this a seven?" },
  {
    id: whichDigit,
    name: "which-digit",
    query: "Which digit is this?",
    mode: "MULTI_CLASS",
    modeConfiguration: { class_names: classNames },
  },
  { id: cloudOnly, name: "cloud", query: "Is it here?" },
] as const;

/** Rows of the transcript; those that end otherwise than expected say FAIL. */
function drive(endpoint: string, phase: "online" | "offline"): Promise<string> {
  const script = path.join(import.meta.dirname, "edge.py");
  const samples = path.join(repositoryRoot, "models/digits/samples");
  const options = [script, "--endpoint", endpoint, "--phase", phase, "--samples", samples];
  return new Promise((resolve) =>
    execFile(python ?? "", options, { timeout: 90_000 }, (_error, stdout, stderr) =>
      resolve(stdout + stderr),
    ),
  );
}

test("the client is served by the edge with the cloud, without it, and after a restart without it", async (t) => {
  if (python === undefined)
    return t.skip("SPILLWAY_GROUNDLIGHT_PYTHON names a Python that has groundlight, see README.md");
  const cloud = await startCloud({ tokens: [token], detectors });
  t.after(() => cloud.close());
  const dataFolder = createDataFolder(t);
  const edge = { cloud: { origin: cloud.url, token } };
  const gateway = await startEdgeGateway(t, { edge, dataFolder });
  const transcripts = [await drive(gateway.edgeUrl, "online")];
  await until("the label has arrived", () => cloud.cloud.labels().length > 0);
  await cloud.close();
  transcripts.push(await drive(gateway.edgeUrl, "offline"));
  await gateway.close({ graceMs: 1_000 });
  const again = await startEdgeGateway(t, { edge, dataFolder });
  transcripts.push(await drive(again.edgeUrl, "offline"));
  const back = await startCloud({ tokens: [token], detectors }, { port: cloud.port });
  t.after(() => back.close());
  const isThere = (): boolean =>
    back.cloud.queries().some(({ detectorId }) => detectorId === cloudOnly) &&
    back.cloud.labels().length >= 2;
  // The longer the cloud was away, the longer the pause before the next try: up to 30 s.
  await until("what was asked without it is there", isThere, 45_000);
  for (const text of transcripts) {
    t.diagnostic(`\n${text}`);
    assert.doesNotMatch(text, /FAIL|Traceback/, text);
    assert.ok(text.split("\n").length > 10, text);
  }
});
