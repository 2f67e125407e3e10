/** A device under its own status page: a store, the monitor and a door, without the rest of the edge endpoint. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import type { TestContext } from "node:test";
import type { CloudHealth } from "../../packages/gateway/src/contracts/cloud.ts";
import type { EdgeStore } from "../../packages/gateway/src/contracts/edge-store.ts";
import { systemClock, type Clock } from "../../packages/gateway/src/core/clock.ts";
import { isFailure } from "../../packages/gateway/src/core/errors.ts";
import {
  createEdgeMonitor,
  type EdgeMonitor,
} from "../../packages/gateway/src/edge/monitor/create-edge-monitor.ts";
import { createMachineMeter } from "../../packages/gateway/src/edge/monitor/machine-meter.ts";
import type { MonitoredDetector } from "../../packages/gateway/src/edge/monitor/monitored.ts";
import { createStatusRoutes } from "../../packages/gateway/src/edge/monitor/status-routes.ts";
import { openEdgeStore } from "../../packages/gateway/src/store/open-edge-store.ts";
import { createMetrics } from "../../packages/gateway/src/telemetry/index.ts";
import { startDoor, type DoorSetup } from "../../packages/gateway/test/support/http-door.ts";
import {
  agreementObservation,
  localAnswer,
  monitoredDetector,
  queryObservation,
  quietLog,
} from "./edge-observations.ts";
import { repositoryRoot } from "./gateway.ts";

/** The device. */
export interface EdgeDevice {
  readonly url: string;
  readonly monitor: EdgeMonitor;
  readonly store: EdgeStore;
  /** As the page shows it; may be changed. */
  readonly world: { detectors: MonitoredDetector[]; cloud: CloudHealth | undefined };
}

const hourMs = 3_600_000;

/** Starts one; its past is as `past` writes it into the store before the monitor starts. */
export async function startEdgeDevice(
  t: TestContext,
  {
    past,
    detectors = [],
    ...door
  }: Pick<DoorSetup, "admit"> & { past?: (store: EdgeStore) => void; detectors?: MonitoredDetector[] } = {},
): Promise<EdgeDevice> {
  const folder = mkdtempSync(path.join(tmpdir(), "edge-device-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const clock: Clock = systemClock;
  const store = await openEdgeStore({ folder, clock, log: quietLog });
  if (isFailure(store)) throw new Error(store.message);
  past?.(store);
  const world: EdgeDevice["world"] = {
    detectors,
    cloud: { state: "reachable", since: clock.wallNow() - 3 * hourMs, reason: "" },
  };
  const monitor = createEdgeMonitor({
    store,
    clock,
    metrics: createMetrics(),
    log: quietLog,
    detectors: () => world.detectors,
    cloud: () => world.cloud && { address: "https://api.groundlight.ai", health: world.cloud },
    device: { id: "0d2c7a4e9b1f", name: "line-3", createdAt: "2026-01-01T00:00:00.000Z", version: "0.1.0" },
    outboxBytes: 2e9,
    edgeConfig: () => ({ global_config: {}, edge_inference_configs: {}, detectors: [] }),
  });
  const restored = monitor.start();
  const now = (): number => clock.wallNow();
  const reports = () => ({
    lastSentAt: now() - 1_900_000,
    nextAt: now() + 1_500_000,
    pending: 0,
    failure: null,
  });
  const routes = createStatusRoutes({ monitor, machine: createMachineMeter(clock), reports, now, store });
  const { port } = await startDoor(t, { routes, ...door });
  t.after(async () => {
    monitor.close();
    await store.close();
  });
  await restored;
  return { url: `http://127.0.0.1:${port}`, monitor, store, world };
}

/** Three detectors of a production line in different states. */
export function lineDetectors(): MonitoredDetector[] {
  const updater = { state: "current", reason: "", wanted: undefined, since: Date.now() - 7 * hourMs };
  return [
    monitoredDetector("det_2Kq7ZrT0vBwN5yLhXc8mUaPdFsE", { updater, calibration: "automatic, 412 pairs" }),
    monitoredDetector("det_2Kq7a1GmYt4RsCkV6ZbWnQxJoHu", {
      name: "Screws in the tray",
      query: "How many screws are in the tray?",
      mode: "COUNT",
      threshold: 0.75,
      model: { name: "tray-count", version: "12" },
      updater: { state: "downloading", reason: "", wanted: "13", since: Date.now() - 42_000 },
    }),
    monitoredDetector("det_2Kq7bD3xPf9LhUeMvTq0YwRzAiC", {
      name: "Label reads PASS",
      query: "What does the label say?",
      mode: "MULTI_CLASS",
      threshold: 0.85,
      origin: "cloud",
      model: undefined,
      ready: false,
      reason: "The model's format runs only in Groundlight's inference server",
      updater: { state: "failed", reason: "unsupported format", wanted: "4", since: Date.now() - 3 * hourMs },
    }),
  ];
}

/** Thirty days of a line that works from 6 to 22, written as earlier processes would have. */
export function writePast(store: EdgeStore, detectors: readonly MonitoredDetector[], now: number): void {
  const current = Math.floor(now / hourMs);
  for (let back = 30 * 24; back >= 1; back -= 1) {
    const hour = current - back;
    const ofDay = hour % 24;
    const load = ofDay < 6 || ofDay >= 22 ? 0.06 : 0.7 + 0.3 * Math.sin(((ofDay - 6) / 16) * Math.PI);
    for (const [index, { id, model }] of detectors.entries()) {
      const wave = 1 + 0.18 * Math.sin(hour * 1.7 + index) + 0.1 * Math.sin(hour * 0.41);
      const queries = Math.round([940, 310, 70][index]! * load * wave);
      store.count(id, pastHour(queries, model !== undefined, hour), hour);
    }
  }
}

/** Counters of one hour. */
function pastHour(queries: number, isLocal: boolean, hour: number): Record<string, number> {
  if (!isLocal)
    return {
      queries,
      "answered.cloud": queries,
      "escalation.no_local_model": queries,
      "latency.15": queries,
    };
  const unsure = Math.round(queries * (0.04 + 0.02 * Math.sin(hour / 9)));
  const audits = Math.round(queries * 0.012);
  const confidence: Record<string, number> = {};
  for (const [bucket, share] of [0.01, 0.01, 0.02, 0.03, 0.06, 0.12, 0.75].entries())
    confidence[`confidence.${13 + bucket}`] = Math.round(queries * share);
  return {
    queries,
    "answered.edge": queries - unsure,
    "answered.cloud": unsure,
    "escalation.unsure": unsure,
    "escalation.audit": audits,
    "agreed.audit": audits - (hour % 11 === 0 && audits > 0 ? 1 : 0),
    "differed.audit": hour % 11 === 0 && audits > 0 ? 1 : 0,
    "agreed.escalation": Math.round(unsure * 0.8),
    "differed.escalation": unsure - Math.round(unsure * 0.8),
    "latency.5": Math.round(queries * 0.6),
    "latency.6": Math.round(queries * 0.3),
    "latency.8": queries - Math.round(queries * 0.6) - Math.round(queries * 0.3) - unsure,
    "latency.14": unsure,
    "local.4": Math.round(queries * 0.7),
    "local.5": queries - Math.round(queries * 0.7),
    "class.YES": Math.round(queries * 0.86),
    "class.NO": queries - Math.round(queries * 0.86),
    ...confidence,
  };
}

/** A sample of the digits, as a picture of a camera. */
export function samplePicture(digit: number): Uint8Array {
  return readFileSync(path.join(repositoryRoot, `models/digits/samples/${digit % 10}.png`));
}

/** The `n`-th of a day's queries, with its picture. */
export async function tellQuery(device: EdgeDevice, n: number, at: number): Promise<void> {
  const { monitor, store } = device;
  const [seated, screws, label] = device.world.detectors;
  const queryId = `iq_2Kr${String(n).padStart(4, "0")}xW8dVtYbNc5RmQeJ1`;
  await store.keepPicture(queryId, { bytes: Buffer.from(samplePicture(n)), mediaType: "image/png" });
  const base = { queryId, at, latencyMs: 12.3 + (n % 7) };
  if (n % 9 === 4 && label !== undefined)
    return monitor.answered(
      queryObservation({
        ...base,
        detectorId: label.id,
        local: undefined,
        answeredBy: "cloud",
        threshold: 0.85,
        latencyMs: 231,
        escalation: { reason: "no_local_model", how: "asked" },
      }),
    );
  if (n % 3 === 1 && screws !== undefined) {
    const local = localAnswer(0.62 + (n % 5) / 14, {
      finding: { mode: "COUNT", count: 3 + (n % 6), greaterThanMax: false },
      model: { name: "tray-count", version: "12" },
      latencyMs: 9.4,
    });
    const isUnsure = local.confidence < 0.75;
    monitor.answered(
      queryObservation({
        ...base,
        detectorId: screws.id,
        local,
        threshold: 0.75,
        ...(isUnsure && { escalation: { reason: "unsure", how: "queued" } }),
        ...(isUnsure && n % 2 === 0 && { withheld: "cloud_unreachable" }),
      }),
    );
    return undefined;
  }
  const detectorId = seated?.id ?? "det_a";
  const isAudit = n % 8 === 3;
  monitor.answered(
    queryObservation({
      ...base,
      detectorId,
      local: localAnswer(0.93 + (n % 6) / 100, { latencyMs: 8.1 }),
      ...(isAudit && { escalation: { reason: "audit", how: "queued" } }),
    }),
  );
  if (isAudit)
    monitor.compared(
      agreementObservation({
        queryId,
        detectorId,
        at: at + 800,
        agreed: n % 16 !== 3,
        cloud: { finding: { mode: "BINARY", label: n % 16 === 3 ? "NO" : "YES" }, confidence: 0.98 },
      }),
    );
  return undefined;
}
