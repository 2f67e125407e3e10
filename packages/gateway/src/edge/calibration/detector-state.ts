/** What the calibrator knows of one detector while the gateway runs. */
import type { CalibrationStore, ComparedAnswer, ComparedKind } from "../../contracts/edge-store.ts";
import type { LocalAnswer } from "../../core/detector.ts";
import type { CalibratedModel, DetectorCalibration } from "./calibrate-detector.ts";
import { createDriftMonitor } from "./drift-monitor.ts";
import type { DriftMonitor, DriftReport } from "./drift-monitor.ts";

/** Name and version as one text. */
export function modelKey({ name, version }: CalibratedModel): string {
  return `${name}@${version}`;
}

/** Answers that are counted before the store is told without a comparison. */
const countsHeld = 256;

/** Comparisons that make a new fit worth while: so many, and this share of those fitted last. */
const fitAfter = { pairs: 50, share: 0.1 } as const;

/** Between two fits of a detector, ms. */
const pauseMs = 60_000;

/** Calibrations of earlier models that are kept for going back. */
const maxModels = 8;

/** One detector. */
export class DetectorState {
  readonly detectorId: string;
  /** Why the last attempt to fit gave none. */
  problem: string | undefined;
  readonly #store: CalibrationStore;
  /** By model, the newest last. */
  readonly #calibrations: DetectorCalibration[] = [];
  #model: CalibratedModel | undefined;
  #calibration: DetectorCalibration | undefined;
  #monitor: DriftMonitor | undefined;
  #counted = { escalation: 0, audit: 0 };
  #newPairs = 0;
  #attemptedAt = -Infinity;

  constructor(detectorId: string, store: CalibrationStore) {
    this.detectorId = detectorId;
    this.#store = store;
  }

  /** The model that answered last. */
  get model(): CalibratedModel | undefined {
    return this.#model;
  }

  /** Of the model that answered last. */
  get calibration(): DetectorCalibration | undefined {
    return this.#calibration;
  }

  /** Undefined without a calibration. */
  get drift(): DriftReport | undefined {
    return this.#monitor?.report();
  }

  /** Comparisons of the model since the last attempt to fit, or since it first answered. */
  get newPairs(): number {
    return this.#newPairs;
  }

  /** A calibration of an earlier start; they come newest first. */
  restore(calibration: DetectorCalibration): void {
    if (this.#calibrations.length < maxModels) this.#calibrations.unshift(calibration);
  }

  /** A model answered: its calibration is the one that holds. */
  see({ rawConfidence, model }: Pick<LocalAnswer, "rawConfidence" | "model">, at: number): void {
    this.#turnTo(model, at);
    this.#monitor?.answered(rawConfidence, at);
  }

  /** An answer for which the cloud is asked always, or as a sample. */
  count(model: CalibratedModel, kind: ComparedKind, at: number): void {
    this.#turnTo(model, at);
    this.#counted[kind] += 1;
    if (this.#counted.escalation + this.#counted.audit >= countsHeld) this.flush(at);
  }

  /** The cloud answered too. An answer of an earlier model is kept with that model's. */
  compare(model: CalibratedModel, pair: ComparedAnswer, at: number): void {
    if (this.#model === undefined) this.#turnTo(model, at);
    if (!this.#isCurrent(model)) {
      this.#keep(model, [pair], { escalation: 0, audit: 0 }, at);
      return;
    }
    this.#newPairs += 1;
    this.#monitor?.compared(pair, at);
    this.#keep(model, [pair], this.#counted, at);
    this.#counted = { escalation: 0, audit: 0 };
  }

  /** Whether there is enough new to fit again. */
  isDue(at: number): boolean {
    const needed = Math.max(fitAfter.pairs, fitAfter.share * (this.#calibration?.calibration.pairs ?? 0));
    return this.#newPairs >= needed && at - this.#attemptedAt >= pauseMs;
  }

  /** A fit begins. */
  attempted(at: number): void {
    this.#attemptedAt = at;
    this.#newPairs = 0;
    this.problem = undefined;
  }

  /** A fit succeeded. */
  take(calibration: DetectorCalibration): void {
    this.#put(calibration);
    if (this.#isCurrent(calibration.model)) this.#use(calibration);
    this.#newPairs = 0;
  }

  /** The calibration in use with what its drift monitor knows, to go on later. */
  paused(): DetectorCalibration | undefined {
    return this.#calibration && this.#monitor && { ...this.#calibration, drift: this.#monitor.state() };
  }

  /** Hands counts to the store. */
  flush(at: number): void {
    if (this.#model === undefined || this.#counted.escalation + this.#counted.audit === 0) return;
    this.#keep(this.#model, [], this.#counted, at);
    this.#counted = { escalation: 0, audit: 0 };
  }

  #put(calibration: DetectorCalibration): void {
    const key = modelKey(calibration.model);
    const place = this.#calibrations.findIndex((one) => modelKey(one.model) === key);
    if (place >= 0) this.#calibrations.splice(place, 1);
    else if (this.#calibrations.length >= maxModels) this.#calibrations.shift();
    this.#calibrations.push(calibration);
  }

  #isCurrent(model: CalibratedModel): boolean {
    return model.name === this.#model?.name && model.version === this.#model.version;
  }

  #turnTo(model: CalibratedModel, at: number): void {
    if (this.#isCurrent(model)) return;
    this.flush(at);
    const paused = this.paused();
    if (paused !== undefined) this.#put(paused);
    this.#model = { name: model.name, version: model.version };
    this.#newPairs = 0;
    this.#attemptedAt = -Infinity;
    this.problem = undefined;
    const key = modelKey(model);
    this.#use(this.#calibrations.find((one) => modelKey(one.model) === key));
  }

  #use(calibration: DetectorCalibration | undefined): void {
    this.#calibration = calibration;
    this.#monitor = calibration && createDriftMonitor(calibration.reference, {}, calibration.drift);
  }

  #keep(
    model: CalibratedModel,
    pairs: readonly ComparedAnswer[],
    answers: Readonly<Record<ComparedKind, number>>,
    at: number,
  ): void {
    this.#store.keepPairs({ detectorId: this.detectorId, model: modelKey(model), at, pairs, answers });
  }
}
