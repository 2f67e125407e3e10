// Image queries answered here: the model digits in a real worker, Groundlight's JSON, no cloud.
import assert from "node:assert/strict";
import { test } from "node:test";
import { digit, isSeven, startEdgeGateway, whichDigit } from "../harness/edge-gateway.ts";

const keys =
  "metadata id type created_at query detector_id result_type result patience_time confidence_threshold rois text done_processing";

test("a picture is answered by the digits model, at every address, with all that clients demand", async (t) => {
  const gateway = await startEdgeGateway(t);
  const { status, body, headers } = await gateway.ask(whichDigit, digit(7));
  assert.equal(status, 200);
  assert.deepEqual(Object.keys(body).toSorted(), keys.split(" ").toSorted());
  assert.match(String(body["id"]), /^iq_[0-9A-Za-z]{27}$/);
  assert.equal(body["result_type"], "multi_classification");
  const result = body["result"] as Record<string, unknown>;
  assert.ok(Number(result["confidence"]) > 0.9);
  assert.deepEqual(
    { ...result, confidence: 0 },
    { confidence: 0, source: "ALGORITHM", result_type: "multi_classification", from_edge: true, label: "7" },
  );
  assert.equal(body["done_processing"], true);
  assert.equal(headers.get("x-spillway-answered-by"), "edge");
  assert.equal(headers.get("x-spillway-model"), "digits");
  for (const path of ["/image-queries", "/device-api/image-queries", "/device-api/v1/image-queries"]) {
    for (const origin of [gateway.url, gateway.edgeUrl]) {
      const answer = await fetch(`${origin}${path}?detector_id=${whichDigit}`, {
        method: "POST",
        headers: { "content-type": "image/png" },
        body: new Uint8Array(digit(3)),
      });
      const query = (await answer.json()) as { result: { label: string } };
      assert.equal(query.result.label, "3", origin + path);
    }
  }
});

test("BINARY sums the classes that mean the answer; a mis-cased id is the same detector", async (t) => {
  const gateway = await startEdgeGateway(t);
  for (const [value, label] of [
    [7, "YES"],
    [1, "NO"],
  ] as const) {
    const { body } = await gateway.ask(isSeven.toUpperCase().replace("DET_", "det_"), digit(value));
    assert.equal(body["detector_id"], isSeven);
    const result = body["result"] as Record<string, unknown>;
    assert.equal(result["label"], label);
    assert.equal(result["result_type"], "binary_classification");
    assert.ok(Number(result["confidence"]) > 0.9 && Number(result["confidence"]) <= 1);
  }
});

test("thresholds above what the model reaches: without a cloud the answer of the edge is the answer", async (t) => {
  const gateway = await startEdgeGateway(t);
  const noisy = Buffer.from(digit(8));
  const { body, headers } = await gateway.ask(whichDigit, noisy, {
    query: "confidence_threshold=1&patience_time=3.5",
  });
  assert.equal(body["confidence_threshold"], 1);
  assert.equal(body["patience_time"], 3.5);
  assert.equal(body["done_processing"], true);
  const sure = Number((body["result"] as Record<string, unknown>)["confidence"]) >= 1;
  assert.equal(headers.get("x-spillway-withheld"), sure ? null : "no_cloud");
});
