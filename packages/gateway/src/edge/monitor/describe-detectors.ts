/** The detectors as the monitor shows them. */
import type { LocalInference } from "../../contracts/local-inference.ts";
import type { DetectorRegistry, KnownDetector } from "../detectors/registry.ts";
import type { MonitoredDetector, MonitoredUpdate } from "./monitored.ts";

/** What tells of them. */
export interface DescribedParts {
  readonly registry: Pick<DetectorRegistry, "all">;
  readonly local: Pick<LocalInference, "state">;
  /** How a detector's model is brought up to date; undefined: nobody does. */
  readonly updateOf?: (detectorId: string) => MonitoredUpdate | undefined;
  /** How its confidence is calibrated, in a few words; undefined: it is not. */
  readonly calibrationOf?: (detectorId: string) => string | undefined;
}

/** At most so many are shown. */
const maxShown = 500;

/** Those that are known now. */
export function describeDetectors(parts: DescribedParts): MonitoredDetector[] {
  return parts.registry
    .all()
    .slice(0, maxShown)
    .map((known) => describe(known, parts));
}

function describe(known: KnownDetector, parts: DescribedParts): MonitoredDetector {
  const { id, detector, policy, model } = known;
  const state = model && parts.local.state(model);
  return {
    id,
    name: detector?.name ?? id,
    query: detector?.query ?? "",
    mode: detector?.mode ?? "",
    threshold: detector?.confidenceThreshold,
    origin: detector?.origin ?? "configuration",
    policy,
    model: model && { name: model.name, version: state?.version ?? model.version },
    ready: state?.ready ?? false,
    reason: state?.reason ?? "No model here answers this detector",
    updater: parts.updateOf?.(id),
    calibration: parts.calibrationOf?.(id),
  };
}
