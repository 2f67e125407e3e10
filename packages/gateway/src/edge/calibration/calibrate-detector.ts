/** The calibration of one model for one detector: fitted, stored, read again. */
import { sleep, type Clock } from "../../core/clock.ts";
import type { Random } from "../../core/random.ts";
import { applyModel } from "./calibration-model.ts";
import { chooseSteps } from "./choose-threshold.ts";
import type { ThresholdChoice } from "./choose-threshold.ts";
import { referenceSteps } from "./drift-monitor.ts";
import type { DriftReference, DriftState } from "./drift-monitor.ts";
import { fitSteps } from "./fit-calibration.ts";
import type { Calibration, TooFewPairs } from "./fit-calibration.ts";
import { sortSteps } from "./pairs.ts";
import type { CalibrationPair, PairColumns } from "./pairs.ts";
import { inSlices, type Steps } from "./steps.ts";

/** A model and its version: a calibration holds for no other. */
export interface CalibratedModel {
  readonly name: string;
  readonly version: string;
}

/** What to calibrate, and how. */
export interface CalibrationJob {
  readonly detectorId: string;
  readonly model: CalibratedModel;
  readonly pairs: readonly CalibrationPair[] | PairColumns;
  /** Share of the answers kept at the edge that the cloud is to agree with, 0 to 1. */
  readonly wishedAgreement: number;
  /** How sure that must be. Default 0.95. */
  readonly level?: number;
  /** Effective pairs below which nothing is fitted. Default 100. */
  readonly minPairs?: number;
  /** Now: milliseconds since the Unix epoch. */
  readonly at: number;
}

/** A calibration as it is stored; plain JSON. */
export interface DetectorCalibration {
  readonly format: 1;
  readonly detectorId: string;
  readonly model: CalibratedModel;
  /** Milliseconds since the Unix epoch. */
  readonly fittedAt: number;
  readonly calibration: Calibration;
  /** Its thresholds are confidences as the model says them. */
  readonly choice: ThresholdChoice;
  /** The threshold as a calibrated confidence; undefined where none was proven. */
  readonly threshold?: number;
  readonly reference: DriftReference;
  /** What the drift monitor knew when it last stopped; absent in a fresh one. */
  readonly drift?: DriftState;
}

/** Fits a calibration and chooses the threshold, a millisecond or so at a time. */
export function calibrateDetector(
  job: CalibrationJob,
  { clock, random }: { readonly clock: Clock; readonly random: Random },
): Promise<DetectorCalibration | TooFewPairs> {
  return inSlices(calibrationSteps(job, random), clock, () => sleep(clock, 0));
}

/** `calibrateDetector` in steps. */
export function* calibrationSteps(
  job: CalibrationJob,
  random: Random,
): Steps<DetectorCalibration | TooFewPairs> {
  const { detectorId, model, wishedAgreement, level = 0.95, minPairs, at } = job;
  const pairs = yield* sortSteps(job.pairs);
  const calibration = yield* fitSteps(pairs, minPairs === undefined ? {} : { minPairs }, random);
  if (calibration.kind === "too_few_pairs") return calibration;
  const choice = yield* chooseSteps(pairs, { wishedAgreement, level });
  yield;
  const reference = yield* referenceSteps(calibration.model, pairs, calibration.effectivePairs);
  const threshold = choice.kind === "reached" ? applyModel(calibration.model, choice.threshold) : undefined;
  return {
    format: 1,
    detectorId,
    model: { name: model.name, version: model.version },
    fittedAt: at,
    calibration,
    choice,
    ...(threshold === undefined ? {} : { threshold }),
    reference,
  };
}

/** Reads a stored calibration; undefined for one of another format or a damaged one: it is fitted again. */
export function readDetectorCalibration(text: string): DetectorCalibration | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  return isDetectorCalibration(value) ? value : undefined;
}

/** Checks what decisions depend on: that the model can be applied and which threshold holds. */
function isDetectorCalibration(value: unknown): value is DetectorCalibration {
  if (typeof value !== "object" || value === null) return false;
  const { format, model, calibration, choice, threshold, reference, drift } =
    value as Partial<DetectorCalibration>;
  if (format !== 1 || typeof model?.name !== "string" || typeof model.version !== "string") return false;
  if (choice?.kind !== "reached" && choice?.kind !== "unreachable") return false;
  if (threshold !== undefined && !isShare(threshold)) return false;
  if (!Array.isArray(reference?.edges) || !Array.isArray(reference.shares)) return false;
  if (drift !== undefined && !(typeof drift.score === "number" && Array.isArray(drift.counts))) return false;
  if (calibration?.model === undefined || reference.model === undefined) return false;
  return [0, 0.5, 1].every(
    (at) => isShare(applyModel(calibration.model, at)) && isShare(applyModel(reference.model, at)),
  );
}

function isShare(value: unknown): boolean {
  return typeof value === "number" && value >= 0 && value <= 1;
}
