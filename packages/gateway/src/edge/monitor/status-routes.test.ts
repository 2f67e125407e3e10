import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { lineDetectors, samplePicture, startEdgeDevice } from "../../../../../test/harness/edge-device.ts";
import { localAnswer, queryObservation } from "../../../../../test/harness/edge-observations.ts";
import { failure } from "../../core/errors.ts";
import type { RouteScope } from "../../core/request.ts";
import type { StatusActivity, StatusData } from "./status-data.ts";
import { dashboardOf } from "./write-status.ts";

async function json<Value>(url: string): Promise<Value> {
  const answer = await fetch(url);
  assert.equal(answer.status, 200, url);
  assert.equal(answer.headers.get("cache-control"), "no-store");
  return (await answer.json()) as Value;
}

async function error(url: string): Promise<[number, string]> {
  const answer = await fetch(url);
  return [answer.status, ((await answer.json()) as { error: string }).error];
}

/** A device with a few queries of one detector, one of which belongs to a detector nobody knows. */
async function start(t: TestContext) {
  const detectors = lineDetectors();
  const device = await startEdgeDevice(t, { detectors });
  const at = Date.now();
  const detectorId = detectors[0]?.id ?? "";
  device.monitor.answered(queryObservation({ queryId: "iq_1", at, detectorId }));
  device.monitor.answered(
    queryObservation({
      queryId: "iq_2",
      at: at + 1,
      detectorId,
      local: localAnswer(0.5),
      answeredBy: "cloud",
      escalation: { reason: "unsure", how: "asked" },
    }),
  );
  device.monitor.answered(queryObservation({ queryId: "iq_3", at: at + 2, detectorId: "det_gone" }));
  return { ...device, detectorId, at };
}

describe("the routes of the status page", () => {
  it("tell everything the page shows", async (t) => {
    const { url, detectorId, at } = await start(t);
    const data = await json<StatusData>(`${url}/status/data.json?recent=2`);
    assert.equal(data.restored, true);
    assert.deepEqual(
      data.recent.map(({ id }) => id),
      ["iq_3", "iq_2"],
    );
    assert.match(data.recent[1]?.why ?? "", /below the threshold of 90 %: the cloud was asked/);
    const [first, , , gone] = data.detectors;
    assert.equal(data.detectors.length, 4);
    assert.deepEqual(first?.lastHour, { queries: 2, escalations: 1, audits: 0, failures: 0 });
    assert.equal(first?.last.query, at + 1);
    assert.equal(first?.last.escalation, at + 1);
    assert.deepEqual([gone?.id, gone?.threshold, gone?.lastDay.queries], ["det_gone", null, 1]);
    assert.equal(data.totals.lastDay.queries, 3);
    assert.equal(data.cloud?.dashboard, "https://dashboard.groundlight.ai");
    const all = await json<StatusActivity>(`${url}/status/activity.json`);
    assert.deepEqual([all.slots.length, all.threshold, all.classes], [48, null, []]);
    assert.deepEqual(all.slots.at(-1)?.answered, { edge: 2, cloud: 1, later: 0, none: 0 });
    assert.deepEqual(all.slots.at(-1)?.escalations, { unsure: 1 });
    const one = await json<StatusActivity>(
      `${url}/status/activity.json?span=days&detector=${encodeURIComponent(detectorId)}`,
    );
    assert.deepEqual(
      [one.slots.length, one.threshold, one.confidence[10], one.confidence[19]],
      [30, 0.9, 1, 1],
    );
    assert.deepEqual(one.classes, [{ name: "YES", count: 2 }]);
  });

  it("tell of many detectors, each with its own counts", async (t) => {
    const { url, monitor } = await start(t);
    const at = Date.now();
    for (let n = 0; n < 100; n += 1)
      monitor.answered(queryObservation({ queryId: `iq_m${n}`, at, detectorId: `det_many${n}` }));
    const data = await json<StatusData>(`${url}/status/data.json`);
    assert.equal(data.detectors.length, 104);
    assert.equal(data.detectors.at(-1)?.lastHour.queries, 1);
    assert.equal(data.totals.lastHour.queries, 103);
  });

  it("refuse parameters that they do not know, with what they want", async (t) => {
    const { url } = await start(t);
    assert.deepEqual(await error(`${url}/status/data.json?recent=many`), [400, '"recent" must be 0 to 200']);
    assert.deepEqual(await error(`${url}/status/activity.json?span=weeks`), [
      400,
      '"span" must be hours or days',
    ]);
    const unknown = await json<StatusActivity>(`${url}/status/activity.json?detector=det_none`);
    assert.equal(unknown.slots.at(-1)?.answered.edge, 0);
    assert.equal((await fetch(`${url}/status/assets/tsconfig.json`)).status, 404);
  });

  it("show pictures as what their bytes are, and nothing else", async (t) => {
    const { url, store } = await start(t);
    const png = Buffer.from(samplePicture(7));
    await store.keepPicture("iq_png", { bytes: Buffer.from(png), mediaType: "image/jpeg" });
    await store.keepPicture("iq_html", {
      bytes: Buffer.from("<script>alert(1)</script>"),
      mediaType: "text/html",
    });
    await store.keepPicture("iq_large", {
      bytes: Buffer.alloc(9 * 1024 * 1024, "\xff\xd8\xff", "latin1"),
      mediaType: "image/jpeg",
    });
    const shown = await fetch(`${url}/status/pictures/iq_png`);
    assert.equal(shown.headers.get("content-type"), "image/png");
    assert.equal(shown.headers.get("x-content-type-options"), "nosniff");
    assert.match(shown.headers.get("content-security-policy") ?? "", /sandbox/);
    assert.ok(png.equals(Buffer.from(await shown.arrayBuffer())));
    assert.equal((await error(`${url}/status/pictures/iq_html`))[0], 415);
    assert.equal((await error(`${url}/status/pictures/iq_large`))[0], 413);
    assert.equal((await error(`${url}/status/pictures/iq_none`))[0], 404);
    assert.equal((await fetch(`${url}/status/pictures/iq_none?else=empty`)).status, 204);
    assert.equal((await error(`${url}/status/pictures/..%2F..%2Fspillway.db`))[0], 404);
  });

  it("answer what Groundlight's clients ask", async (t) => {
    const { url } = await start(t);
    const metrics = await json<Record<string, unknown>>(`${url}/status/metrics.json`);
    assert.deepEqual(Object.keys(metrics), [
      "device_info",
      "activity_metrics",
      "failed_escalations",
      "detector_details",
      "k3s_stats",
    ]);
    assert.deepEqual(await json(`${url}/status/cloud-config`), {
      dashboard_url: "https://dashboard.groundlight.ai",
    });
    assert.deepEqual(Object.keys(await json<object>(`${url}/status/edge-config`)), [
      "global_config",
      "edge_inference_configs",
      "detectors",
    ]);
    const resources = await json<{ system: object }>(`${url}/status/resources.json`);
    assert.deepEqual(Object.keys(resources.system), ["cpu_utilization_pct", "ram_bytes", "cpu_cores", "gpu"]);
  });

  it("need the scope status for all that is told; the page itself is open and strict", async (t) => {
    const asked = new Map<string, RouteScope>();
    const { url } = await startEdgeDevice(t, {
      admit: ({ path, scope }) => {
        asked.set(path, scope);
        return scope === "open" ? { id: "anonymous", scopes: [] } : failure("unauthorized", "no key");
      },
    });
    const page = await fetch(`${url}/status`);
    assert.equal(page.status, 200);
    const policy = page.headers.get("content-security-policy") ?? "";
    assert.match(policy, /^default-src 'none'; script-src 'self'; style-src 'self'; /);
    assert.doesNotMatch(policy, /unsafe|\*/);
    const html = await page.text();
    assert.doesNotMatch(html, /https?:\/\/(?!www\.w3\.org)|<style|style=|onclick/);
    const open = ["/status"];
    for (const [, address = ""] of html.matchAll(/(?:src|href)="(status\/assets\/[^"]+)"/g)) {
      assert.equal((await fetch(`${url}/${address}`)).status, 200, address);
      open.push(`/${address}`);
    }
    const told = [
      "data.json",
      "activity.json",
      "metrics.json",
      "resources.json",
      "edge-config",
      "cloud-config",
      "pictures/iq_1",
    ];
    for (const each of told) assert.equal((await fetch(`${url}/status/${each}`)).status, 401, each);
    for (const [path, scope] of asked) assert.equal(scope, open.includes(path) ? "open" : "status", path);
  });
});

describe("the cloud's dashboard", () => {
  it("is beside the API of Groundlight, and of others the address itself", () => {
    assert.equal(dashboardOf("https://api.groundlight.ai"), "https://dashboard.groundlight.ai");
    assert.equal(dashboardOf("http://127.0.0.1:9000"), "http://127.0.0.1:9000");
  });
});
