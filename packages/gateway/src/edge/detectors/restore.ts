/** What earlier processes learnt and spent, read from the store at the start. */
import type { EdgeStore } from "../../contracts/edge-store.ts";
import { detectorModes, type Detector } from "../../core/detector.ts";
import { isFailure } from "../../core/errors.ts";
import { monthOf, type Budget } from "./budget.ts";
import type { DetectorRegistry } from "./registry.ts";

/** What restoring needs. */
export interface RestoreParts {
  readonly store: EdgeStore;
  readonly registry: DetectorRegistry;
  /** Of all detectors together. */
  readonly budget: Budget;
  /** Milliseconds since the Unix epoch. */
  readonly now: number;
}

/** Does what can be done; a store that cannot be read leaves what the configuration says. */
export async function restoreDetectors({ store, registry, budget, now }: RestoreParts): Promise<void> {
  const detectors = await store.detectors();
  if (isFailure(detectors)) return;
  for (const { record } of detectors) {
    const detector = readDetectorRecord(record);
    if (detector !== undefined) registry.learn(detector, undefined);
  }
  const spending = await store.spending();
  if (isFailure(spending)) return;
  registry.restoreSpending(spending, now);
  const month = monthOf(now);
  const spent = spending.reduce((sum, each) => sum + (each.period === month ? each.escalations : 0), 0);
  budget.restore(month, spent + budget.spentAt(month));
}

/** Undefined for a text that this store did not write. */
function readDetectorRecord(text: string): Detector | undefined {
  try {
    const value = JSON.parse(text) as Partial<Detector> | null;
    const isDetector =
      typeof value?.id === "string" &&
      typeof value.query === "string" &&
      typeof value.confidenceThreshold === "number" &&
      detectorModes.some((mode) => mode === value.mode);
    return isDetector ? (value as Detector) : undefined;
  } catch {
    return undefined;
  }
}
