/** What the groundlight client sent is answered as the client needs it; and the client itself runs where it is installed. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import path from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { startCloud } from "@spillway/simulator";
import { createDataFolder, startEdgeGateway } from "../../harness/edge-gateway.ts";
import { until } from "../../harness/until.ts";
import { options, recordedNames, replay, steps, token } from "./replay.ts";

test("what the client sent is answered by the simulated cloud as it was, with all that the client reads", async (t) => {
  const simulator = await startCloud(options);
  t.after(() => simulator.close());
  const names = recordedNames();
  for (const step of steps) {
    simulator.faults.set(step.faults ?? []);
    for (const sent of step.requests) await replay(simulator.url, step, { sent, names });
  }
  const metadata = simulator.cloud.query("iq_2abcdefghijklmnopqrstuvwxyz")?.metadata;
  assert.deepEqual(metadata, { camera: "north", ümlaut: true });
  assert.deepEqual(
    simulator.cloud.labels().map(({ label }) => label),
    ["YES", "3", "green", "AB 12", "BOUNDING_BOX"],
  );
});

/** Where the edge answers otherwise than the cloud: better, or because it is one. By step; the statuses of its requests in turn. */
const otherwise: Readonly<Record<string, readonly number[]>> = {
  // This gateway lets callers in; tokens are managed where the cloud knows them.
  "construct with a token that is unknown": [404],
  "construct while the cloud is down": [404, 404, 404, 404],
  // Kept for the cloud: the caller has an id to ask with.
  "submit repeated after a 503": [200, 200],
  "submit that meets a proxy's page": [200, 200, 200, 200],
  "submit that is throttled": [200],
  "edge.get_config": [200],
  "edge.set_config": [200],
  "edge.get_detector_readiness": [200],
  "edge.get_upstream_endpoint": [200],
};

test("what the client sent is answered by an edge endpoint in front of that cloud", async (t) => {
  const simulator = await startCloud(options);
  t.after(() => simulator.close());
  const gateway = await startEdgeGateway(t, {
    edge: { cloud: { origin: simulator.url, token }, detectors: [], auditRate: 0 },
    dataFolder: createDataFolder(t),
  });
  const names = recordedNames();
  for (const step of steps) {
    simulator.faults.set(step.faults ?? []);
    for (const [index, sent] of step.requests.entries()) {
      const isSubmission = sent.method === "POST" && sent.path.includes("/image-queries?");
      const usual = isSubmission && sent.status === 201 ? 200 : sent.status;
      const status = otherwise[step.name]?.[index] ?? usual;
      await replay(gateway.edgeUrl, step, { sent: { ...sent, status }, names });
    }
    simulator.faults.set([]);
  }
  await until("every label has reached the cloud", () =>
    Promise.resolve(simulator.cloud.labels().length === 5),
  );
  assert.deepEqual(
    simulator.cloud
      .labels()
      .map(({ label }) => label)
      .toSorted(),
    ["3", "AB 12", "BOUNDING_BOX", "YES", "green"],
  );
});

test("the client itself is content with the simulated cloud", async (t) => {
  const python = process.env["SPILLWAY_GROUNDLIGHT_PYTHON"];
  if (python === undefined)
    return t.skip("SPILLWAY_GROUNDLIGHT_PYTHON names a Python that has groundlight, see README.md");
  const simulator = await startCloud(options);
  t.after(() => simulator.close());
  const script = path.join(import.meta.dirname, "record.py");
  const { stdout } = await promisify(execFile)(python, [script, "--endpoint", simulator.url], {
    timeout: 60_000,
  });
  assert.match(stdout, /, 0 failed/);
});
