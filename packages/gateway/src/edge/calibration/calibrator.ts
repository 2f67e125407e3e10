/** Keeps each detector's confidence in line with what the cloud says: gathers comparisons, fits, applies, watches for drift. */
import type { AgreementObservation, EdgeObserver, QueryObservation } from "../../contracts/edge-observer.ts";
import type { CalibrationOptions } from "../../contracts/edge-options.ts";
import type { CalibrationStore } from "../../contracts/edge-store.ts";
import type { Logger } from "../../contracts/telemetry.ts";
import type { Clock } from "../../core/clock.ts";
import type { DetectorMode, LocalAnswer } from "../../core/detector.ts";
import { failure, isFailure, type Failure } from "../../core/errors.ts";
import type { Random } from "../../core/random.ts";
import { combined } from "../local/out-of-domain.ts";
import { calibrateDetector, readDetectorCalibration } from "./calibrate-detector.ts";
import type { DetectorCalibration } from "./calibrate-detector.ts";
import { DetectorState, modelKey } from "./detector-state.ts";
import type { DriftReport } from "./drift-monitor.ts";
import { applyCalibration, type TooFewPairs } from "./fit-calibration.ts";
import { readComparisons } from "./read-comparisons.ts";

/** What the calibrator needs. */
export interface CalibratorParts {
  readonly store: { readonly calibrations: CalibrationStore };
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** How a detector is to be calibrated; undefined: there is no such detector. */
  readonly options: (detectorId: string) => CalibrationOptions | undefined;
}

/** A detector as far as calibration goes. */
export interface CalibratedDetector {
  readonly id: string;
  readonly mode: DetectorMode;
  readonly options: CalibrationOptions;
}

/** What decides about an answer. */
export interface CalibratedAnswer {
  /** 0 to 1. */
  readonly confidence: number;
  /** In place of the detector's own threshold; undefined: its own holds. */
  readonly threshold: number | undefined;
}

/** A detector's calibration, for people. */
export interface CalibrationReport {
  readonly options: CalibrationOptions;
  /** Model that answered last; undefined before the first answer. */
  readonly model: string | undefined;
  /** Of that model; undefined while there is none. */
  readonly calibration: DetectorCalibration | undefined;
  /** It decides; else it is shown alone. */
  readonly inUse: boolean;
  /** Undefined without a calibration. */
  readonly drift: DriftReport | undefined;
  /** Comparisons since the last attempt to fit, or since the start. */
  readonly newPairs: number;
  /** What the last attempt to fit said where it gave none. */
  readonly problem: string | undefined;
}

/** What came of an attempt to fit. */
export type FitResult = DetectorCalibration | TooFewPairs | Failure;

/** More detectors than this are not calibrated. */
const maxDetectors = 10_000;

/** The calibrations of all detectors. An observer of what happens at the edge endpoint. */
export class Calibrator implements Pick<EdgeObserver, "answered" | "compared"> {
  readonly #parts: CalibratorParts;
  readonly #states = new Map<string, DetectorState>();
  /** Detectors that wait for a fit, each once; one is fitted at a time. */
  readonly #due = new Set<string>();
  #isFitting = false;
  #isClosed = false;

  constructor(parts: CalibratorParts) {
    this.#parts = parts;
  }

  /** A fit that began by itself is under way. */
  get isFitting(): boolean {
    return this.#isFitting;
  }

  /** Reads what was fitted before this start. Never rejects. */
  async start(): Promise<void> {
    const kept = await this.#parts.store.calibrations.all();
    if (isFailure(kept)) {
      this.#parts.logger.warn("edge_calibrations_unread", { reason: kept.message });
      return;
    }
    for (const { record } of kept) {
      const calibration = readDetectorCalibration(record);
      if (calibration !== undefined) this.#stateOf(calibration.detectorId)?.restore(calibration);
    }
  }

  /** What decides about a local answer: calibrated in the mode `automatic`, else as it came. */
  calibrated(detector: CalibratedDetector, answer: LocalAnswer): CalibratedAnswer {
    const { options, id, mode } = detector;
    if (options.mode === "off") return { confidence: answer.confidence, threshold: undefined };
    const state = this.#stateOf(id);
    state?.see(answer, this.#parts.clock.wallNow());
    const calibration = state?.calibration;
    if (options.mode !== "automatic" || calibration === undefined)
      return { confidence: answer.confidence, threshold: undefined };
    const confidence = applyCalibration(calibration.calibration, answer.rawConfidence);
    const { outOfDomain, probabilities } = answer;
    return {
      confidence:
        outOfDomain === undefined
          ? confidence
          : combined({ rawConfidence: confidence, probabilities }, mode, outOfDomain),
      threshold: calibration.threshold,
    };
  }

  answered({ detectorId, local, threshold }: QueryObservation): void {
    if (local === undefined || !this.#isOn(detectorId)) return;
    this.#stateOf(detectorId)?.count(
      local.model,
      local.confidence >= threshold ? "audit" : "escalation",
      this.#parts.clock.wallNow(),
    );
  }

  /** Labels of people are left out: nobody knows how they chose the queries. */
  compared({ detectorId, kind, reason, edge, agreed }: AgreementObservation): void {
    if (kind === "label" || reason === "human_review" || !this.#isOn(detectorId)) return;
    const state = this.#stateOf(detectorId);
    if (state === undefined) return;
    const wasDrifting = state.drift?.drifting === true;
    const at = this.#parts.clock.wallNow();
    state.compare(edge.model, { kind, confidence: edge.rawConfidence, agreed, weight: 1 }, at);
    const drift = state.drift;
    if (drift?.drifting === true && !wasDrifting)
      this.#parts.logger.warn("edge_calibration_drifts", { detectorId, why: drift.why, since: drift.since });
    if (state.isDue(at)) {
      this.#due.add(state.detectorId);
      void this.#fitDue();
    }
  }

  /** Fits now. `bad_request` where the mode is `off`, `not_found` where no model has answered. */
  async fit(detectorId: string): Promise<FitResult> {
    const state = this.#states.get(detectorId.toLowerCase());
    const options = this.#parts.options(detectorId);
    if (options?.mode === "off")
      return failure("bad_request", `Calibration of the detector ${detectorId} is off`);
    if (options === undefined || state?.model === undefined)
      return failure("not_found", `No answer of a local model for the detector ${detectorId} is known here`);
    return this.#fit(state, options);
  }

  /** Undefined for a detector that is not known, or whose answers are compared with no cloud. */
  report(detectorId: string): CalibrationReport | undefined {
    const options = this.#parts.options(detectorId);
    if (options === undefined) return undefined;
    const state = this.#states.get(detectorId.toLowerCase());
    return {
      options,
      model: state?.model && modelKey(state.model),
      calibration: state?.calibration,
      inUse: options.mode === "automatic" && state?.calibration !== undefined,
      drift: state?.drift,
      newPairs: state?.newPairs ?? 0,
      problem: state?.problem,
    };
  }

  /** A detector's calibration in a few words, such as `automatic, isotonic, fitted to 412 pairs`; undefined where it is off. */
  summary(detectorId: string): string | undefined {
    const options = this.#parts.options(detectorId);
    if (options === undefined || options.mode === "off") return undefined;
    const state = this.#states.get(detectorId.toLowerCase());
    const fitted = state?.calibration?.calibration;
    if (fitted === undefined)
      return `${options.mode}, not fitted${state?.problem ? `: ${state.problem}` : ""}`;
    const drift = state?.drift?.why;
    const drifting = drift === undefined ? "" : `, ${drift.replaceAll("_", " ")}`;
    return `${options.mode}, ${fitted.model.kind}, fitted to ${fitted.pairs} pairs${drifting}`;
  }

  /** Hands what was gathered to the store. Idempotent. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const at = this.#parts.clock.wallNow();
    const { calibrations } = this.#parts.store;
    for (const state of this.#states.values()) {
      state.flush(at);
      const paused = state.paused();
      if (paused === undefined) continue;
      const { detectorId, model, fittedAt } = paused;
      const record = JSON.stringify(paused);
      // The store finishes what was asked of it before it closes; what a full disk refuses here is counted anew.
      void calibrations.keep({ detectorId, model: modelKey(model), fittedAt, record });
    }
  }

  #isOn(detectorId: string): boolean {
    const options = this.#parts.options(detectorId);
    return options !== undefined && options.mode !== "off";
  }

  #stateOf(detectorId: string): DetectorState | undefined {
    const key = detectorId.toLowerCase();
    const known = this.#states.get(key);
    if (known !== undefined || this.#states.size >= maxDetectors) return known;
    const made = new DetectorState(detectorId, this.#parts.store.calibrations);
    this.#states.set(key, made);
    return made;
  }

  async #fitDue(): Promise<void> {
    if (this.#isFitting) return;
    this.#isFitting = true;
    for (const detectorId of this.#due) {
      this.#due.delete(detectorId);
      const result = this.#isClosed ? undefined : await this.fit(detectorId);
      if (result !== undefined && isFailure(result))
        this.#parts.logger.warn("edge_calibration_failed", { detectorId, reason: result.message });
    }
    this.#isFitting = false;
  }

  async #fit(state: DetectorState, options: CalibrationOptions): Promise<FitResult> {
    const { clock, random, logger, store } = this.#parts;
    const { model, drift, detectorId } = state;
    if (model === undefined) return failure("not_found");
    state.flush(clock.wallNow());
    state.attempted(clock.wallNow());
    // What came before a drift says nothing of what is now.
    const since = drift?.why === "agreement_fell" ? drift.since : undefined;
    const read = await readComparisons(store.calibrations, { detectorId, model: modelKey(model), since });
    if (isFailure(read)) return read;
    const { pairs, gap } = read;
    const at = clock.wallNow();
    const job = { detectorId, model, pairs, wishedAgreement: options.agreement, at };
    const made = await calibrateDetector(job, { clock, random });
    if ("kind" in made) {
      state.problem = made.why;
      return made;
    }
    if (gap !== undefined) {
      state.problem = gap;
      const { pairs: count, effectivePairs } = made.calibration;
      return { kind: "too_few_pairs", pairs: count, effectivePairs, needed: count + 1, why: gap };
    }
    if (this.#isClosed) return failure("draining");
    const record = JSON.stringify(made);
    const kept = await store.calibrations.keep({ detectorId, model: modelKey(model), fittedAt: at, record });
    if (kept !== undefined) return kept;
    state.take(made);
    logger.info("edge_calibrated", {
      detectorId,
      model: modelKey(model),
      kind: made.calibration.model.kind,
      pairs: made.calibration.pairs,
      threshold: made.choice.kind === "reached" ? made.choice.threshold : undefined,
    });
    return made;
  }
}
