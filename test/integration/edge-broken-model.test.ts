// A detector whose model does not load: the cloud answers for it, or a refusal says why; operators see the reason.
import assert from "node:assert/strict";
import { test } from "node:test";
import { startCloud } from "@spillway/simulator";
import type { StatusData } from "../../packages/gateway/src/edge/monitor/status-data.ts";
import { digit, startEdgeGateway, type EdgeGateway } from "../harness/edge-gateway.ts";
import { createModelFolder } from "../harness/gateway.ts";
import { until } from "../harness/until.ts";

const id = "det_BrokenModel0000000000000000";
const token = "api_device_token_0001";
const detector = { id, query: "Is the part seated?", model: "seated" };

function brokenModels(t: Parameters<typeof createModelFolder>[0]): string {
  const folder = createModelFolder(t);
  const yaml = [
    "task: classify",
    "labels: [seated, loose]",
    "outputs: { scores: y }",
    "input: { image: { tensor: x, width: 8, height: 8, channels: 1, layout: HWC } }",
  ].join("\n");
  folder.addOnnx("seated", Buffer.from("this is no model"), { yaml });
  return folder.path;
}

async function untilFailed(gateway: EdgeGateway): Promise<string> {
  return until("the model has failed", async () => {
    const { body } = await gateway.call("GET", "/edge-detector-readiness");
    const { ready, reason } = body[id] as { ready: boolean; reason: string };
    assert.equal(ready, false);
    // Nothing that a load in progress says, also between two attempts.
    return /model\.onnx|onnx/i.test(reason) && reason;
  });
}

test("with a cloud its queries escalate; readiness and the status page say why", async (t) => {
  const simulator = await startCloud({
    tokens: [token],
    truth: () => ({ label: "YES", confidence: 0.97 }),
    detectors: [{ id, name: "seated", query: "Is the part seated?" }],
  });
  t.after(() => simulator.close());
  const edge = { auditRate: 0, cloud: { origin: simulator.url, token }, detectors: [detector] };
  const gateway = await startEdgeGateway(t, { edge, models: brokenModels(t) });
  const reason = await untilFailed(gateway);
  const answer = await gateway.ask(id, digit(7));
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
  assert.equal((answer.body["result"] as { label: string }).label, "YES");
  assert.equal(answer.headers.get("x-spillway-answered-by"), "cloud");
  assert.equal(answer.headers.get("x-spillway-escalation"), "no_local_model");
  const status = await until("the page tells the reason", async () => {
    const data = (await gateway.call("GET", "/status/data.json")).body as unknown as StatusData;
    assert.equal(data.detectors[0]?.ready, false);
    return data.detectors[0]?.reason === reason && data;
  });
  assert.equal(status.recent[0]?.escalation?.reason, "no_local_model");
});

test("without a cloud: 503 with the reason, in the client's shape", async (t) => {
  const gateway = await startEdgeGateway(t, { edge: { detectors: [detector] }, models: brokenModels(t) });
  await untilFailed(gateway);
  const answer = await gateway.ask(id, digit(7));
  assert.equal(answer.status, 503, JSON.stringify(answer.body));
  assert.match(String(answer.body["detail"]), /seated/);
  assert.equal((await gateway.call("GET", "/health/live")).status, 200);
});
