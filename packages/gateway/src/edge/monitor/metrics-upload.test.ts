import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, it, type TestContext } from "node:test";
import {
  localAnswer,
  monitoredDetector,
  monitoredParts,
  queryObservation,
  quietLog as log,
} from "../../../../../test/harness/edge-observations.ts";
import type { CloudFailure } from "../../contracts/cloud.ts";
import type { JsonObject } from "../../core/detector.ts";
import { isFailure } from "../../core/errors.ts";
import { openEdgeStore } from "../../store/open-edge-store.ts";
import { createMetrics } from "../../telemetry/index.ts";
import { createManualClock, type ManualClock } from "../../testing.ts";
import { createEdgeMonitor } from "./create-edge-monitor.ts";
import { hourMs } from "./detector-activity.ts";
import { hourName, writeMetricsPayload, writeResources } from "./groundlight-payloads.ts";
import { createMachineMeter } from "./machine-meter.ts";
import { MetricsUpload } from "./metrics-upload.ts";

const minute = 60_000;

function text(value: unknown): string {
  assert.ok(typeof value === "string");
  return value;
}

function cloudFailure(kind: CloudFailure["kind"]): CloudFailure {
  return { failed: true, kind, status: undefined, detail: `it was ${kind}`, retryAfterMs: undefined };
}

interface Sent {
  readonly at: number;
  readonly hour: unknown;
  readonly payload: JsonObject;
}

/** A device on a folder, with a cloud that answers as `answer` says. */
async function start(
  t: TestContext,
  { folder, clock, unit = 0.5 }: { folder: string; clock: ManualClock; unit?: number },
) {
  const store = await openEdgeStore({ folder, clock, log });
  if (isFailure(store)) throw new Error(store.message);
  const metrics = createMetrics();
  const monitor = createEdgeMonitor({ ...monitoredParts(), store, clock, metrics, log });
  const machine = createMachineMeter(clock);
  const sent: Sent[] = [];
  const cloud = { answer: undefined as CloudFailure | undefined };
  const upload = new MetricsUpload({
    clock,
    random: { unit: () => unit, id: () => "x" },
    log,
    metrics,
    monitor,
    payloadOf: (hour) => writeMetricsPayload({ monitor, machine, now: () => clock.wallNow() }, hour),
    cloud: {
      reportMetrics: (payload) => {
        const { activity_metrics: activity } = payload as { activity_metrics: JsonObject };
        sent.push({ at: clock.wallNow(), hour: activity["activity_hour"], payload: payload as JsonObject });
        return Promise.resolve(cloud.answer);
      },
    },
  });
  await monitor.start();
  upload.start();
  const stop = async (): Promise<void> => {
    upload.close();
    monitor.close();
    await store.close();
  };
  t.after(stop);
  return { monitor, store, metrics, sent, cloud, upload, stop };
}

/** Moves time on, with what is asynchronous in between. */
async function pass(clock: ManualClock, ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= minute) {
    clock.advance(Math.min(left, minute));
    await new Promise((resolve) => setImmediate(resolve));
  }
}

function newFolder(t: TestContext): string {
  const folder = mkdtempSync(path.join(tmpdir(), "spu-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

describe("reports to the cloud", () => {
  it("tell of each full hour, three minutes after it and up to two more or less", async (t) => {
    for (const unit of [0, 0.5, 0.999]) {
      const clock = createManualClock();
      clock.advance(30 * minute);
      const { monitor, sent } = await start(t, { folder: newFolder(t), clock, unit });
      monitor.answered(queryObservation({ queryId: "iq_1", at: clock.wallNow() }));
      await pass(clock, 2 * hourMs);
      assert.deepEqual(
        sent.map(({ hour }) => hour),
        ["2026-01-01_00", "2026-01-01_01"],
      );
      const minutes = sent.map(({ at }) => (at % hourMs) / minute);
      for (const each of minutes) assert.ok(Math.abs(each - (3 + (2 * unit - 1) * 2)) < 0.01, `${each}`);
    }
  });

  it("are repeated with a growing pause until the cloud takes them, also after a restart, and then no more", async (t) => {
    const folder = newFolder(t);
    const clock = createManualClock();
    const first = await start(t, { folder, clock });
    first.cloud.answer = cloudFailure("unreachable");
    first.monitor.answered(queryObservation({ queryId: "iq_1", at: clock.wallNow() }));
    await pass(clock, hourMs + 3 * minute + 40 * minute);
    const pauses = first.sent.slice(1).map(({ at }, index) => (at - (first.sent[index]?.at ?? 0)) / minute);
    assert.deepEqual(
      pauses.map((pause) => Math.round(pause)),
      [1, 2, 4, 8, 15],
    );
    assert.equal(first.upload.state().failure, "it was unreachable");
    assert.equal(first.upload.state().pending, 1);
    await first.stop();

    await pass(clock, 90 * minute);
    const second = await start(t, { folder, clock });
    await pass(clock, 2 * minute);
    assert.deepEqual(
      second.sent.map(({ hour }) => hour),
      ["2026-01-01_00", "2026-01-01_01"],
    );
    assert.match(JSON.stringify(second.sent[0]?.payload), /\\"hourly_total_iqs\\":1,/);
    assert.equal(second.upload.state().pending, 0);
    assert.match(second.metrics.render(), /spillway_edge_metrics_reports_total\{outcome="sent"\} 2/);
    await second.stop();

    const third = await start(t, { folder, clock });
    await pass(clock, 5 * minute);
    assert.deepEqual(third.sent, []);
  });

  it("go back a day at most, and are not repeated when the cloud refuses them", async (t) => {
    const clock = createManualClock();
    const { sent, cloud, upload } = await start(t, { folder: newFolder(t), clock });
    cloud.answer = cloudFailure("unauthorized");
    await pass(clock, 30 * hourMs);
    assert.equal(upload.state().pending, 24);
    cloud.answer = cloudFailure("refused");
    sent.length = 0;
    await pass(clock, 40 * minute);
    assert.equal(sent.length, 24);
    assert.equal(upload.state().pending, 0);
  });
});

describe("the payload", () => {
  it("has what Groundlight's page and cloud read", async (t) => {
    const clock = createManualClock();
    clock.advance(5 * minute);
    const { monitor } = await start(t, { folder: newFolder(t), clock });
    const at = clock.wallNow();
    monitor.answered(queryObservation({ queryId: "iq_1", at }));
    monitor.answered(
      queryObservation({
        queryId: "iq_2",
        at: at + 1_000,
        local: localAnswer(0.42),
        escalation: { reason: "unsure", how: "queued" },
      }),
    );
    monitor.answered(
      queryObservation({ queryId: "iq_3", at: at + 2_000, escalation: { reason: "audit", how: "queued" } }),
    );
    const machine = createMachineMeter(clock);
    const now = (): number => clock.wallNow();
    const payload = writeMetricsPayload({ monitor, machine, now }, Math.floor(at / hourMs));
    const activity = payload["activity_metrics"] as JsonObject;
    assert.deepEqual(
      { ...activity, detector_activity_previous_hour: undefined },
      {
        activity_hour: "2026-01-01_00",
        last_activity_time: "2026-01-01T00:05:02.000Z",
        num_detectors_lifetime: 1,
        num_detectors_active_1h: 1,
        num_detectors_active_24h: 1,
        detector_activity_previous_hour: undefined,
      },
    );
    const counts = Array.from({ length: 20 }, (_, bucket) => (bucket === 8 ? 1 : bucket === 19 ? 2 : 0));
    assert.deepEqual(JSON.parse(text(activity["detector_activity_previous_hour"])), {
      det_a: {
        hourly_total_iqs: 3,
        hourly_total_escalations: 1,
        hourly_total_audits: 1,
        hourly_total_below_threshold_iqs: 1,
        last_iq: "2026-01-01T00:05:02.000Z",
        last_escalation: "2026-01-01T00:05:01.000Z",
        last_audit: "2026-01-01T00:05:02.000Z",
        last_below_threshold_iq: "2026-01-01T00:05:01.000Z",
        escalations_by_class: { YES: 1 },
        below_threshold_iqs_by_class: { YES: 1 },
        confidence_histogram: { version: 2, bucket_width: 5, counts, by_class: { YES: counts } },
      },
    });
    const details = JSON.parse(text(payload["detector_details"])) as Record<string, JsonObject>;
    assert.equal(details["det_a"]?.["status"], "ready");
    assert.deepEqual(details["det_a"]?.["edge_inference_config"], {
      enabled: true,
      always_return_edge_prediction: false,
      disable_cloud_escalation: false,
      min_time_between_escalations: 2,
    });
    assert.deepEqual(Object.keys(payload["device_info"] as JsonObject), [
      "device_id",
      "device_metadata",
      "now",
      "cpucores",
      "inference_flavor",
      "cpu_utilization",
      "memory_utilization",
      "memory_available_bytes",
      "edge_software",
    ]);
    assert.equal(hourName(Math.floor(at / hourMs) + 13), "2026-01-01_13");
    const resources = writeResources({ machine }) as { system: { ram_bytes: Record<string, number> } };
    assert.ok((resources.system.ram_bytes["edge_endpoint"] ?? 0) > 10e6);
  });

  it("says of a detector without a model that it waits for one", async (t) => {
    const clock = createManualClock();
    const { monitor } = await start(t, { folder: newFolder(t), clock });
    const waiting = monitoredDetector("det_b", { ready: false, reason: "no model", model: undefined });
    const shown = { ...monitor, parts: monitoredParts({ detectors: () => [waiting] }) };
    const machine = createMachineMeter(clock);
    const payload = writeMetricsPayload(
      { monitor: { ...shown, activity: monitor.activity, flush: () => {} }, machine, now: () => 0 },
      1,
    );
    assert.match(text(payload["detector_details"]), /"status":"initializing","status_detail":"no model"/);
  });
});
