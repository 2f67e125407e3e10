/** What a calibration does to a confidence, as plain data. */

/**
 * How a confidence becomes a probability of agreement; all are monotone. `temperature`: σ(logit(c) / temperature) (Guo et al.,
 * "On Calibration of Modern Neural Networks", ICML 2017), with the logit of the confidence in place of the network's logits,
 * which are not known. `platt`: σ(slope · logit(c) + offset) (Platt, "Probabilistic Outputs for Support Vector Machines", 1999).
 * `isotonic`: straight lines between knots, level outside of them (Zadrozny and Elkan, "Transforming Classifier Scores into
 * Accurate Multiclass Probability Estimates", KDD 2002).
 */
export type CalibrationModel =
  | { readonly kind: "identity" }
  | { readonly kind: "temperature"; readonly temperature: number }
  | { readonly kind: "platt"; readonly slope: number; readonly offset: number }
  | {
      readonly kind: "isotonic";
      /** Rising; at most `MAX_KNOTS`. */
      readonly confidences: readonly number[];
      /** The probability of agreement at each, rising. */
      readonly values: readonly number[];
    };

/** The most knots of an isotonic model: 1 KB of JSON. */
export const MAX_KNOTS = 64;

/** Confidences nearer to 0 or 1 count as this near: their logit has no end. */
const NEAREST = 1e-9;

/**
 * Added of the confidence itself where an isotonic model is level: two confidences stay in their order, so that a threshold for one
 * is a threshold for the other.
 */
const TILT = 1e-4;

/** The probability of agreement that a model says for a confidence of 0..1; rises with it. */
export function applyModel(model: CalibrationModel, confidence: number): number {
  switch (model.kind) {
    case "identity":
      return confidence;
    case "temperature":
      return sigmoid(logit(confidence) / model.temperature);
    case "platt":
      return sigmoid(model.slope * logit(confidence) + model.offset);
    case "isotonic":
      return (1 - TILT) * interpolate(model.confidences, model.values, confidence) + TILT * confidence;
  }
}

/** ln(c / (1 − c)), with c kept 1e-9 from 0 and 1. */
export function logit(confidence: number): number {
  const inside = Math.min(Math.max(confidence, NEAREST), 1 - NEAREST);
  return Math.log(inside / (1 - inside));
}

/** 1 / (1 + e^−x), without overflow. */
export function sigmoid(x: number): number {
  if (x >= 0) return 1 / (1 + Math.exp(-x));
  const power = Math.exp(x);
  return power / (1 + power);
}

function interpolate(xs: readonly number[], ys: readonly number[], x: number): number {
  let below = -1;
  let above = xs.length;
  while (above - below > 1) {
    const middle = (below + above) >> 1;
    if ((xs[middle] ?? 0) <= x) below = middle;
    else above = middle;
  }
  const low = ys[below] ?? ys[0] ?? x;
  const high = ys[above];
  const from = xs[below];
  const to = xs[above];
  if (high === undefined || from === undefined || to === undefined) return low;
  return low + ((high - low) * (x - from)) / (to - from);
}
