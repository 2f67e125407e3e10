/** Puts the status monitor of the edge endpoint together. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import type { EdgeOptions } from "../contracts/edge-options.ts";
import type { EdgeStore } from "../contracts/edge-store.ts";
import type { Route } from "../contracts/route.ts";
import type { Cloud } from "../contracts/cloud.ts";
import type { JsonValue } from "../core/detector.ts";
import { createEdgeMonitor, type EdgeMonitor } from "../edge/monitor/create-edge-monitor.ts";
import { describeDetectors, type DescribedParts } from "../edge/monitor/describe-detectors.ts";
import { writeMetricsPayload } from "../edge/monitor/groundlight-payloads.ts";
import { createMachineMeter } from "../edge/monitor/machine-meter.ts";
import { MetricsUpload } from "../edge/monitor/metrics-upload.ts";
import { readRecentQuery } from "../edge/monitor/read-recent-query.ts";
import { createStatusRoutes } from "../edge/monitor/status-routes.ts";
import type { GatewayContext } from "./options.ts";

/** What the monitor is made from. */
export interface MonitoringParts extends DescribedParts {
  readonly options: EdgeOptions;
  readonly context: GatewayContext;
  readonly store: EdgeStore;
  readonly cloud: Cloud | undefined;
  /** As `GET /edge-config` answers. */
  readonly edgeConfig: () => JsonValue;
}

/** The monitor, its page and its reports. */
export interface EdgeMonitoring {
  readonly observer: EdgeMonitor;
  readonly routes: readonly Route[];
  /** Reads what earlier processes counted, and reports to the cloud from then on. */
  start(): void;
  /** Writes what was counted. Idempotent. Before the store is closed. */
  close(): void;
}

/** Starts nothing yet: without traffic and a data directory there is nothing to read or write. */
export function createMonitoring(parts: MonitoringParts): EdgeMonitoring {
  const { options, context, store, cloud, edgeConfig } = parts;
  const { clock, random, logger: log, metrics, version } = context;
  const machine = createMachineMeter(clock);
  const now = (): number => clock.wallNow();
  const monitor = createEdgeMonitor({
    store,
    clock,
    metrics,
    log,
    detectors: () => describeDetectors(parts),
    cloud: () => cloud && { address: cloud.address, health: cloud.health() },
    device: { ...identify(), createdAt: new Date(clock.wallNow()).toISOString(), version },
    outboxBytes: options.outboxBytes,
    edgeConfig,
    readRecent: readRecentQuery,
  });
  const payloadOf = (hour: number): JsonValue => writeMetricsPayload({ monitor, machine, now }, hour);
  const upload =
    cloud === undefined
      ? undefined
      : new MetricsUpload({ cloud, clock, random, log, metrics, monitor, payloadOf });
  const reports = upload && (() => upload.state());
  return {
    observer: monitor,
    routes: createStatusRoutes({ monitor, machine, reports, now, store }),
    start: () => void monitor.start().then(() => upload?.start()),
    close() {
      upload?.close();
      monitor.close();
    },
  };
}

/** Who this machine is: the same at every start, and nothing from which its own identifier could be found. */
function identify(): { readonly id: string; readonly name: string } {
  const name = hostname();
  const digest = createHash("sha256")
    .update(`spillway-edge ${machineId() ?? name}`)
    .digest("hex");
  const id = [8, 12, 16, 20, 32].map((end, index) => digest.slice([0, 8, 12, 16, 20][index], end)).join("-");
  return { id, name };
}

/** Of systemd (https://www.freedesktop.org/software/systemd/man/machine-id.html); undefined elsewhere. */
function machineId(): string | undefined {
  try {
    return readFileSync("/etc/machine-id", "utf8").trim();
  } catch {
    return undefined;
  }
}
