/** What the monitor shows beside its own counts, as others tell it. */
import type { CloudHealth } from "../../contracts/cloud.ts";
import type { JsonValue } from "../../core/detector.ts";

/** A detector as it is now. */
export interface MonitoredDetector {
  readonly id: string;
  readonly name: string;
  readonly query: string;
  /** Of `detectorModes`; empty for one that the cloud has not told of yet. */
  readonly mode: string;
  /** 0 to 1; undefined for one that the cloud has not told of yet. */
  readonly threshold: number | undefined;
  readonly origin: "configuration" | "cloud";
  readonly policy: {
    readonly name: string;
    readonly enabled: boolean;
    readonly alwaysReturnEdgePrediction: boolean;
    readonly disableCloudEscalation: boolean;
    readonly minTimeBetweenEscalationsMs: number;
  };
  /** What answers here; undefined: nothing does. */
  readonly model: { readonly name: string; readonly version: string | undefined } | undefined;
  /** Whether it can answer now, and why not. */
  readonly ready: boolean;
  readonly reason: string;
  readonly updater: MonitoredUpdate | undefined;
  /** Such as `automatic, fitted to 412 pairs`; undefined: none. */
  readonly calibration: string | undefined;
}

/** How a detector's model is being brought up to date. */
export interface MonitoredUpdate {
  /** A word, such as `current`, `downloading`, `failed`. */
  readonly state: string;
  readonly reason: string;
  /** Version on its way; undefined: none. */
  readonly wanted: string | undefined;
  /** When the state began, milliseconds since the Unix epoch. */
  readonly since: number | undefined;
}

/** This machine as it is known to the cloud. */
export interface MonitoredDevice {
  readonly id: string;
  readonly name: string;
  /** ISO 8601. */
  readonly createdAt: string;
  /** Of Spillway. */
  readonly version: string;
}

/** What others tell the monitor, asked when somebody looks. */
export interface MonitoredParts {
  readonly detectors: () => readonly MonitoredDetector[];
  /** Undefined: there is none. */
  readonly cloud: () => { readonly address: string; readonly health: CloudHealth } | undefined;
  readonly device: MonitoredDevice;
  /** Bytes that may wait in the outbox. */
  readonly outboxBytes: number;
  /** As `GET /edge-config` answers, without secrets. */
  readonly edgeConfig: () => JsonValue;
}
