import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, it, type TestContext } from "node:test";
import {
  agreementObservation,
  localAnswer,
  monitoredDetector as detector,
  monitoredParts as parts,
  queryObservation,
  quietLog as log,
} from "../../../../../test/harness/edge-observations.ts";
import type { QueryObservation } from "../../contracts/edge-observer.ts";
import type { EdgeStore } from "../../contracts/edge-store.ts";
import { failure, isFailure } from "../../core/errors.ts";
import { openEdgeStore } from "../../store/open-edge-store.ts";
import { createMetrics } from "../../telemetry/index.ts";
import { createManualClock, type ManualClock } from "../../testing.ts";
import { Activity, maxDetectors } from "./activity.ts";
import { createEdgeMonitor, type EdgeMonitor } from "./create-edge-monitor.ts";
import { hourMs } from "./detector-activity.ts";
import { explain } from "./explain.ts";

function newFolder(t: TestContext): string {
  const folder = mkdtempSync(path.join(tmpdir(), "spm-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

interface Started {
  readonly monitor: EdgeMonitor;
  readonly store: EdgeStore;
  readonly metrics: ReturnType<typeof createMetrics>;
  stop(): Promise<void>;
}

async function start(
  t: TestContext,
  folder: string,
  clock: ManualClock,
  more: Partial<Parameters<typeof createEdgeMonitor>[0]> = {},
): Promise<Started> {
  const store = await openEdgeStore({ folder, clock, log });
  if (isFailure(store)) throw new Error(store.message);
  const metrics = createMetrics();
  const monitor = createEdgeMonitor({ ...parts(), store, clock, metrics, log, ...more });
  await monitor.start();
  const stop = async (): Promise<void> => {
    monitor.close();
    await store.close();
  };
  t.after(stop);
  return { monitor, store, metrics, stop };
}

/** One of each thing that happens, over two hours. */
function tellAll(monitor: EdgeMonitor, at: number): void {
  monitor.answered(queryObservation({ queryId: "iq_1", at }));
  monitor.answered(
    queryObservation({
      queryId: "iq_2",
      at: at + 1_000,
      local: localAnswer(0.42, { finding: { mode: "BINARY", label: "NO" }, latencyMs: 30 }),
      answeredBy: "cloud",
      escalation: { reason: "unsure", how: "asked" },
      latencyMs: 240,
    }),
  );
  monitor.answered(
    queryObservation({
      queryId: "iq_3",
      at: at + 2_000,
      escalation: { reason: "audit", how: "queued" },
    }),
  );
  monitor.answered(
    queryObservation({
      queryId: "iq_4",
      at: at + 3_000,
      local: undefined,
      answeredBy: "none",
      failure: "model_failed",
      withheld: "cloud_unreachable",
    }),
  );
  monitor.compared(agreementObservation({ queryId: "iq_3", at: at + 4_000 }));
  monitor.delivered({
    detectorId: "det_a",
    kind: "query",
    at: at + 4_000,
    outcome: "sent",
    failure: undefined,
  });
}

describe("the edge monitor", () => {
  it("counts by hour, also into past ones, and knows when things last happened", async (t) => {
    const clock = createManualClock();
    const { monitor } = await start(t, newFolder(t), clock);
    clock.advance(10 * 60_000);
    const at = clock.wallNow();
    tellAll(monitor, at);
    monitor.compared(agreementObservation({ queryId: "iq_0", at: at - hourMs, agreed: false }));
    monitor.flush();
    const counted = monitor.activity.find("det_a");
    assert.deepEqual(counted?.hour(at / hourMs - 1 / 6)?.toRecord(), {
      queries: 4,
      queued: 1,
      failed: 1,
      below: 1,
      "answered.edge": 2,
      "answered.cloud": 1,
      "answered.none": 1,
      "escalation.unsure": 1,
      "escalation.audit": 1,
      "withheld.cloud_unreachable": 1,
      "agreed.audit": 1,
      "delivery.sent": 1,
      "confidence.8": 1,
      "confidence.19": 2,
      "latency.6": 3,
      "latency.14": 1,
      "local.6": 2,
      "local.8": 1,
      "class.YES": 2,
      "bucket19.YES": 2,
      "class.NO": 1,
      "bucket8.NO": 1,
      "belowClass.NO": 1,
      "escalatedClass.NO": 1,
      "failure.model_failed": 1,
    });
    assert.equal(counted?.hour(Math.floor(at / hourMs) - 1)?.get("differed.audit"), 1);
    assert.deepEqual(
      (["query", "escalation", "audit", "below", "failure"] as const).map((kind) => counted?.lastAt(kind)),
      [at + 3_000, at + 1_000, at + 2_000, at + 1_000, at + 3_000],
    );
    assert.equal(counted?.minuteSeries(at, "queries").at(-1), 4);
    clock.advance(59 * 60_000);
    assert.equal(counted?.minuteSeries(clock.wallNow(), "queries")[0], 4);
    clock.advance(60_000);
    assert.equal(counted?.minuteSeries(clock.wallNow(), "queries").join(""), "0".repeat(60));
  });

  it("has all of it again after restarts, however often, and loses at most what was not flushed", async (t) => {
    const folder = newFolder(t);
    const clock = createManualClock();
    clock.advance(5 * 60_000);
    const at = clock.wallNow();
    const first = await start(t, folder, clock);
    tellAll(first.monitor, at);
    clock.advance(6_000);
    await first.store.close();
    first.monitor.answered(queryObservation({ queryId: "iq_lost", at }));
    await first.stop();

    const second = await start(t, folder, clock);
    assert.equal(
      second.monitor.activity
        .find("det_a")
        ?.hour(at / hourMs - 1 / 12)
        ?.get("queries"),
      4,
    );
    clock.advance(60_000);
    second.monitor.answered(queryObservation({ queryId: "iq_5", at: clock.wallNow() }));
    await second.stop();

    clock.advance(26 * hourMs);
    const third = await start(t, folder, clock);
    const counted = third.monitor.activity.find("det_a");
    assert.equal(counted?.hour(Math.floor(at / hourMs))?.get("queries"), 5);
    assert.equal(counted?.hour(Math.floor(at / hourMs))?.get("bucket19.YES"), 3);
    assert.equal(counted?.day(Math.floor(at / hourMs / 24))?.get("queries"), 5);
    assert.equal(counted?.lastAt("query"), at + 66_000);
    assert.equal(counted?.lastAt("audit"), at + 2_000);
    assert.equal(counted?.lastAt("escalation"), at + 1_000);
    assert.deepEqual(third.monitor.device.unreported(Math.floor(clock.wallNow() / hourMs)), []);
  });

  it("spreads what was counted before a restart over the hour's minutes", async (t) => {
    const folder = newFolder(t);
    const clock = createManualClock();
    clock.advance(10 * 60_000 - 1);
    const first = await start(t, folder, clock);
    for (let n = 0; n < 25; n += 1)
      first.monitor.answered(queryObservation({ queryId: `iq_${n}`, at: clock.wallNow() }));
    await first.stop();
    const second = await start(t, folder, clock);
    const minutes = second.monitor.activity.find("det_a")?.minuteSeries(clock.wallNow(), "queries") ?? [];
    assert.deepEqual(minutes.slice(-10), [2, 3, 2, 3, 2, 3, 2, 3, 2, 3]);
  });

  it("forgets hours after two days and days after thirty", () => {
    const at = Date.UTC(2026, 0, 1);
    const activity = new Activity();
    for (let day = 0; day < 40; day += 1) {
      const now = at + day * 24 * hourMs;
      activity.answered(queryObservation({ queryId: `iq_${day}`, at: now }));
      activity.drain(now + hourMs, () => {});
    }
    const counted = activity.find("det_a");
    const hour = at / hourMs;
    const hours = [37, 38, 39].map((day) => counted?.hour(hour + day * 24)?.get("queries"));
    assert.deepEqual(hours, [undefined, 1, 1]);
    const days = [9, 10, 39].map((day) => counted?.day(hour / 24 + day)?.get("queries"));
    assert.deepEqual(days, [undefined, 1, 1]);
  });

  it("bounds detectors, classes and recent queries", async (t) => {
    const clock = createManualClock();
    const { monitor } = await start(t, newFolder(t), clock);
    const at = clock.wallNow();
    for (let n = 0; n < 1_000; n += 1) {
      const finding = { mode: "MULTI_CLASS", label: `class ${n}` } as const;
      const local = localAnswer(0.5, { finding });
      monitor.answered(queryObservation({ queryId: `iq_${n}`, at, detectorId: `det_${n}` }));
      monitor.answered(queryObservation({ queryId: `iq_b${n}`, at, detectorId: "det_0", local }));
    }
    monitor.flush();
    assert.equal(monitor.activity.ids.length, maxDetectors + 1);
    assert.equal(
      monitor.activity
        .find("other")
        ?.hour(at / hourMs)
        ?.get("queries"),
      1_000 - maxDetectors,
    );
    const names = Object.keys(
      monitor.activity
        .find("det_0")
        ?.hour(at / hourMs)
        ?.toRecord() ?? {},
    );
    assert.ok(names.length < 420, `${names.length}`);
    const recent = monitor.recent.list();
    assert.equal(recent.length, 200);
    assert.deepEqual(
      [recent[0], recent[1], recent[199]].map((each) => each?.observation.queryId),
      ["iq_b999", "iq_999", "iq_900"],
    );
  });

  it("has the last queries again from the records of the store, and what the cloud said of them", async (t) => {
    const folder = newFolder(t);
    const clock = createManualClock();
    const first = await start(t, folder, clock);
    const observation = queryObservation({ queryId: "iq_1", at: clock.wallNow() });
    first.store.keepQuery({
      id: "iq_1",
      detectorId: "det_a",
      createdAt: observation.at,
      record: JSON.stringify(observation),
    });
    first.store.keepQuery({ id: "iq_2", detectorId: "det_a", createdAt: 1, record: "{}" });
    await first.stop();
    const { monitor } = await start(t, folder, clock, {
      readRecent: ({ record }) =>
        record === "{}"
          ? undefined
          : { observation: JSON.parse(record) as QueryObservation, comparison: undefined },
    });
    monitor.answered(queryObservation({ queryId: "iq_3", at: clock.wallNow() }));
    monitor.compared(agreementObservation({ queryId: "iq_1", at: clock.wallNow(), agreed: false }));
    const [newest, oldest, ...rest] = monitor.recent.list();
    assert.deepEqual([newest?.observation.queryId, oldest?.observation.queryId], ["iq_3", "iq_1"]);
    assert.equal(oldest?.comparison?.agreed, false);
    assert.deepEqual(rest, []);
  });

  it("counts on where the store cannot be read, and writes once it can", async () => {
    const clock = createManualClock();
    const broken = failure("storage_unavailable", "no disk");
    const written: unknown[] = [];
    const store = {
      counters: { lostRecords: 3, skippedPictures: 0, restarts: 0 },
      outbox: { state: () => Promise.resolve(broken) },
      activity: () => Promise.resolve(broken),
      count: (...args: unknown[]) => void written.push(args),
    } as unknown as EdgeStore;
    const metrics = createMetrics();
    const monitor = createEdgeMonitor({ ...parts(), store, clock, metrics, log });
    const starting = monitor.start();
    monitor.answered(queryObservation({ queryId: "iq_1", at: clock.wallNow() }));
    monitor.flush();
    assert.deepEqual(written, []);
    for (let n = 0; n < 30; n += 1) {
      clock.advance(1_000);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await starting;
    assert.ok(written.some((each) => JSON.stringify(each).includes('"queries":1')));
    assert.match(metrics.render(), /spillway_edge_store_lost_records_total 3/);
    monitor.close();
    monitor.close();
  });

  it("tells Prometheus", async (t) => {
    const clock = createManualClock();
    let version = "3";
    const { monitor, metrics, store } = await start(t, newFolder(t), clock, {
      detectors: () => [{ ...detector("det_a"), model: { name: "seated", version } }],
    });
    tellAll(monitor, clock.wallNow());
    await store.outbox.enqueue({ id: "iq_9", detectorId: "det_a", kind: "query", payload: "{}" });
    clock.advance(5_000);
    await store.outbox.state();
    await new Promise((resolve) => setImmediate(resolve));
    const text = metrics.render();
    for (const line of [
      'spillway_edge_queries_total{detector="det_a",answered_by="edge"} 2',
      'spillway_edge_escalations_total{detector="det_a",reason="audit"} 1',
      'spillway_edge_withheld_total{detector="det_a",reason="cloud_unreachable"} 1',
      'spillway_edge_below_threshold_total{detector="det_a"} 1',
      'spillway_edge_failures_total{detector="det_a",code="model_failed"} 1',
      'spillway_edge_comparisons_total{detector="det_a",kind="audit",result="agreed"} 1',
      'spillway_edge_deliveries_total{kind="query",outcome="sent"} 1',
      "spillway_edge_outbox_waiting 1",
      "spillway_edge_outbox_oldest_age_seconds 5",
      'spillway_edge_cloud_state{state="reachable"} 1',
      'spillway_edge_cloud_state{state="unreachable"} 0',
      'spillway_edge_detector_ready{detector="det_a"} 1',
      'spillway_edge_model_info{detector="det_a",model="seated",version="3"} 1',
      'spillway_edge_updater_state{detector="det_a",state="current"} 1',
      'spillway_edge_local_duration_seconds_count{detector="det_a"} 3',
    ])
      assert.ok(text.includes(`${line}\n`), `${line}\n${text}`);
    version = "4";
    const later = metrics.render();
    assert.match(later, /version="4"/);
    assert.doesNotMatch(later, /version="3"/);
  });
});

describe("why a query was or was not sent", () => {
  const said = (given: Partial<QueryObservation>): string =>
    explain(queryObservation({ queryId: "iq_1", at: 0, ...given }));

  it("names confidence, threshold and what spoke for or against the cloud", () => {
    assert.equal(said({}), "The model was 97 % sure, at or above the threshold of 90 %: answered here.");
    assert.equal(
      said({ local: localAnswer(0.8996), escalation: { reason: "unsure", how: "asked" } }),
      "The model was 89.9 % sure, below the threshold of 90 %: the cloud was asked.",
    );
    assert.equal(
      said({
        local: localAnswer(0.5),
        escalation: { reason: "unsure", how: "queued" },
        withheld: "cloud_unreachable",
      }),
      "The model was 50 % sure, below the threshold of 90 %; the cloud cannot be reached: it is queued for the cloud.",
    );
    assert.equal(
      said({ local: localAnswer(0.5), withheld: "cooldown" }),
      "The model was 50 % sure, below the threshold of 90 %, but the last escalation was too short a time ago: not sent.",
    );
    assert.equal(
      said({
        local: undefined,
        escalation: { reason: "local_failure", how: "asked" },
        failure: "model_failed",
      }),
      "The model here failed (model_failed): the cloud was asked.",
    );
    assert.equal(
      said({
        local: undefined,
        answeredBy: "none",
        failure: "upstream_unreachable",
        withheld: "cloud_unreachable",
      }),
      "Not sent: the cloud cannot be reached. The caller got an error (upstream_unreachable).",
    );
    assert.equal(
      said({
        answeredBy: "later",
        local: undefined,
        escalation: { reason: "no_local_model", how: "queued" },
      }),
      "No model here can answer this detector: it is queued for the cloud. The caller asked for the answer later.",
    );
    assert.equal(
      said({ local: localAnswer(0.5) }),
      "The model was 50 % sure, below the threshold of 90 %; this detector keeps its own answer.",
    );
    assert.match(said({ escalation: { reason: "audit", how: "queued" } }), /picked at random/);
  });
});

it("the edge monitor loses nothing where it is closed while it still reads the past", async (t) => {
  const clock = createManualClock();
  const folder = newFolder(t);
  const store = await openEdgeStore({ folder, clock, log });
  if (isFailure(store)) throw new Error(store.message);
  const monitor = createEdgeMonitor({ ...parts(), store, clock, metrics: createMetrics(), log });
  const started = monitor.start();
  const at = clock.wallNow();
  monitor.answered(queryObservation({ queryId: "iq_1", at }));
  assert.equal(monitor.restored, false);
  monitor.close();
  await store.close();
  await started;
  const again = await start(t, folder, clock);
  assert.equal(
    again.monitor.activity
      .find("det_a")
      ?.hour(Math.floor(at / hourMs))
      ?.get("queries"),
    1,
  );
});
