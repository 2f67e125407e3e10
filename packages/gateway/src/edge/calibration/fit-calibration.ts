/** Fits what turns a confidence into a probability of agreement with the cloud, and chooses how by cross-validation. */
import type { Random } from "../../core/random.ts";
import { foldSteps, total, without } from "./bins.ts";
import type { Bins, FoldedBins } from "./bins.ts";
import { applyModel } from "./calibration-model.ts";
import type { CalibrationModel } from "./calibration-model.ts";
import { fitIsotonic } from "./fit-isotonic.ts";
import { fitPlatt, fitTemperature } from "./fit-logistic.ts";
import { sortPairs } from "./pairs.ts";
import type { CalibrationPair, PairColumns, SortedPairs } from "./pairs.ts";
import { ScoreSum } from "./scores.ts";
import { finish, type Steps } from "./steps.ts";
import type { CalibrationScores } from "./scores.ts";

/** How to fit. */
export interface FitSettings {
  /** Effective pairs below which nothing is fitted. Default 100: an agreement of 90 % is then known to ±5 % at best. */
  readonly minPairs?: number;
  /** Parts of the cross-validation, each tested by the model that the others give. Default 5. */
  readonly folds?: number;
}

/** A fitted calibration; plain JSON. */
export interface Calibration {
  readonly kind: "calibration";
  readonly model: CalibrationModel;
  /** Of the confidences as they are. */
  readonly before: CalibrationScores;
  /** Of the chosen model on pairs that it was not fitted to. */
  readonly after: CalibrationScores;
  readonly pairs: number;
  /** Pairs of equal weight that would say as much. */
  readonly effectivePairs: number;
}

/** Why there is no calibration yet. */
export interface TooFewPairs {
  readonly kind: "too_few_pairs";
  readonly pairs: number;
  /** What counts: pairs of equal weight that would say as much. */
  readonly effectivePairs: number;
  readonly needed: number;
  readonly why: string;
}

/** A way to fit, and how many effective pairs of the rarer outcome it needs: 10 a parameter (Peduzzi et al., 1996). */
interface Method {
  readonly rareOutcomes: number;
  readonly fit: (bins: Bins) => CalibrationModel | undefined;
}

/** From the simplest on. */
const METHODS: readonly Method[] = [
  { rareOutcomes: 0, fit: () => ({ kind: "identity" }) },
  { rareOutcomes: 10, fit: fitTemperature },
  { rareOutcomes: 20, fit: fitPlatt },
  { rareOutcomes: 50, fit: fitIsotonic },
];

/** A method with more freedom must lower the loss of the simpler one by this share to be taken. */
const LEAST_GAIN = 0.002;

/**
 * The model with the lowest weighted log loss in cross-validation: identity, temperature, Platt or isotonic, those with more
 * freedom only where the rarer outcome was seen often enough and where they are better by 0.2 %. `random` deals out the folds.
 */
export function fitCalibration(
  pairs: readonly CalibrationPair[] | PairColumns,
  settings: FitSettings,
  random: Random,
): Calibration | TooFewPairs {
  return finish(fitSteps(sortPairs(pairs), settings, random));
}

/** `fitCalibration` in steps. */
export function* fitSteps(
  columns: SortedPairs,
  { minPairs = 100, folds = 5 }: FitSettings,
  random: Random,
): Steps<Calibration | TooFewPairs> {
  const folded = yield* foldSteps(columns, folds, random);
  const { effectivePairs } = folded;
  const counts = { pairs: columns.confidence.length, effectivePairs };
  if (effectivePairs < minPairs) return tooFew(counts, minPairs);
  const rarer = rarerOutcome(folded.all);
  let identity: Tried | undefined;
  let best: Tried | undefined;
  for (const method of METHODS) {
    const one = method.rareOutcomes <= rarer ? yield* trySteps(method, folded) : undefined;
    if (one === undefined) continue;
    identity ??= one;
    if (best === undefined || one.after.logLoss < best.after.logLoss * (1 - LEAST_GAIN)) best = one;
  }
  if (identity === undefined || best === undefined) return tooFew(counts, minPairs);
  return { kind: "calibration", model: best.model, before: identity.after, after: best.after, ...counts };
}

/** The probability that the cloud agrees with an answer of this confidence. */
export function applyCalibration({ model }: Pick<Calibration, "model">, confidence: number): number {
  return applyModel(model, confidence);
}

/** A method's model of all pairs and its scores on those left aside. */
interface Tried {
  readonly model: CalibrationModel;
  readonly after: CalibrationScores;
}

/** Undefined where it cannot be fitted. */
function* trySteps({ fit }: Method, folded: FoldedBins): Steps<Tried | undefined> {
  const model = fit(folded.all);
  if (model === undefined) return undefined;
  const sum = new ScoreSum();
  for (const fold of folded.folds) {
    yield;
    const trained = fit(without(folded, fold));
    if (trained === undefined) return undefined;
    sum.add(fold, (confidence) => applyModel(trained, confidence));
  }
  return { model, after: sum.scores() };
}

function rarerOutcome({ weight, agreed }: Bins): number {
  const agreeing = total(agreed);
  return Math.min(agreeing, total(weight) - agreeing);
}

function tooFew(counts: { pairs: number; effectivePairs: number }, needed: number): TooFewPairs {
  const { pairs, effectivePairs } = counts;
  const heavy = effectivePairs < 0.9 * pairs ? `, worth ${Math.floor(effectivePairs)} of equal weight` : "";
  return {
    kind: "too_few_pairs",
    ...counts,
    needed,
    why: `${pairs} answers were compared with the cloud${heavy}; ${needed} are needed`,
  };
}
