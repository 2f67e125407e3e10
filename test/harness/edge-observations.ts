/** Observations of the edge endpoint, and what its monitor is told, for tests: plausible, with what matters given. */
import type {
  AgreementObservation,
  QueryObservation,
} from "../../packages/gateway/src/contracts/edge-observer.ts";

import type { MonitoredDetector, MonitoredParts } from "../../packages/gateway/src/edge/monitor/monitored.ts";

/** A local answer of YES. */
export function localAnswer(
  confidence: number,
  given: Partial<NonNullable<QueryObservation["local"]>> = {},
): NonNullable<QueryObservation["local"]> {
  return {
    finding: { mode: "BINARY", label: "YES" },
    confidence,
    model: { name: "seated", version: "3" },
    latencyMs: 11,
    ...given,
  };
}

/** An image query that the edge answered, sure of it. */
export function queryObservation(
  given: Partial<QueryObservation> & { readonly queryId: string; readonly at: number },
): QueryObservation {
  return {
    detectorId: "det_a",
    answeredBy: "edge",
    failure: undefined,
    local: localAnswer(0.97),
    threshold: 0.9,
    escalation: undefined,
    withheld: undefined,
    latencyMs: 14,
    ...given,
  };
}

/** An answer of the cloud to an audit. */
export function agreementObservation(
  given: Partial<AgreementObservation> & { readonly queryId: string; readonly at: number },
): AgreementObservation {
  const finding = { mode: "BINARY", label: "YES" } as const;
  const model = { name: "seated", version: "3" };
  return {
    detectorId: "det_a",
    kind: "audit",
    edge: { finding, rawConfidence: 0.97, confidence: 0.97, model },
    cloud: { finding, confidence: 0.99 },
    agreed: true,
    ...given,
  };
}

/** A logger that says nothing. */
export const quietLog = { error: () => {}, warn: () => {}, info: () => {}, debug: () => {} };

/** A detector that works. */
export function monitoredDetector(id: string, given: Partial<MonitoredDetector> = {}): MonitoredDetector {
  return {
    id,
    name: "Seated",
    query: "Is the part seated?",
    mode: "BINARY",
    threshold: 0.9,
    origin: "configuration",
    policy: {
      name: "default",
      enabled: true,
      alwaysReturnEdgePrediction: false,
      disableCloudEscalation: false,
      minTimeBetweenEscalationsMs: 2_000,
    },
    model: { name: "seated", version: "3" },
    ready: true,
    reason: "",
    updater: { state: "current", reason: "", wanted: undefined, since: undefined },
    calibration: undefined,
    ...given,
  };
}

/** A device with one detector and a cloud that answers. */
export function monitoredParts(more: Partial<MonitoredParts> = {}): MonitoredParts {
  return {
    detectors: () => [monitoredDetector("det_a")],
    cloud: () => ({ address: "https://cloud.example", health: { state: "reachable", since: 0, reason: "" } }),
    device: { id: "dev", name: "line 3", createdAt: "2026-01-01T00:00:00.000Z", version: "0.1.0" },
    outboxBytes: 1_000,
    edgeConfig: () => ({}),
    ...more,
  };
}
