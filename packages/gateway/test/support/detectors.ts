/** Detectors for tests that do not care which. */
import type { Detector } from "../../src/core/detector.ts";

/** A BINARY detector with a threshold of 0.9, save for what is given. */
export function createDetector(given: Partial<Detector> = {}): Detector {
  return {
    id: "det_000000000000000000000000001",
    name: "door",
    query: "Is the door open?",
    mode: "BINARY",
    modeConfiguration: {},
    groupName: "Default",
    confidenceThreshold: 0.9,
    patienceTime: 30,
    createdAt: "2026-01-01T00:00:00.000Z",
    status: "ON",
    escalationType: "STANDARD",
    metadata: null,
    origin: "configuration",
    ...given,
  };
}
