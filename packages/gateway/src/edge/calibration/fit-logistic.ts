/** Temperature and Platt scaling. */
import { total } from "./bins.ts";
import type { Bins } from "./bins.ts";
import { logit, sigmoid } from "./calibration-model.ts";
import type { CalibrationModel } from "./calibration-model.ts";

/** σ(slope · x + offset). */
interface Line {
  readonly slope: number;
  readonly offset: number;
}

/** The problem in numbers: places, weights and the weight of agreement at each, with Platt's targets. */
interface Problem {
  readonly x: Float64Array;
  readonly weight: Float64Array;
  readonly target: Float64Array;
}

/** First and second derivatives of the loss. */
interface Derivatives {
  slope: number;
  offset: number;
  slopeSlope: number;
  slopeOffset: number;
  offsetOffset: number;
}

/** Slopes outside of this say that confidence means nothing, or everything. */
const SLOPES = { least: 0.02, most: 50 } as const;
const STEPS = 50;

/** One parameter: the temperature. Undefined where no sensible one is best. */
export function fitTemperature(bins: Bins): CalibrationModel | undefined {
  const line = fitLine(problemOf(bins), "slope alone");
  return line && { kind: "temperature", temperature: 1 / line.slope };
}

/** Two parameters: slope and offset. Undefined where confidence and agreement do not rise together. */
export function fitPlatt(bins: Bins): CalibrationModel | undefined {
  const line = fitLine(problemOf(bins), "both");
  return line && { kind: "platt", ...line };
}

/**
 * Newton's method on the log loss, halving steps that do not lower it (Lin, Lin and Weng, "A Note on Platt's Probabilistic
 * Outputs for Support Vector Machines", Machine Learning 68, 2007).
 */
function fitLine(problem: Problem, free: "slope alone" | "both"): Line | undefined {
  let line: Line = { slope: 1, offset: 0 };
  let loss = lossOf(problem, line);
  for (let step = 0; step < STEPS; step += 1) {
    const move = newtonStep(derivativesOf(problem, line), free);
    let share = 1;
    let next = moved(line, move, share);
    let nextLoss = lossOf(problem, next);
    while (!(nextLoss <= loss) && share > 1e-6) {
      share /= 2;
      next = moved(line, move, share);
      nextLoss = lossOf(problem, next);
    }
    if (!(nextLoss <= loss)) break;
    const gain = loss - nextLoss;
    line = next;
    loss = nextLoss;
    if (gain < 1e-10 * (1 + Math.abs(loss))) break;
  }
  return line.slope > SLOPES.least && line.slope < SLOPES.most ? line : undefined;
}

function moved({ slope, offset }: Line, move: Line, share: number): Line {
  return { slope: slope - share * move.slope, offset: offset - share * move.offset };
}

function newtonStep(by: Derivatives, free: "slope alone" | "both"): Line {
  const ridge = 1e-9;
  if (free === "slope alone") return { slope: by.slope / (by.slopeSlope + ridge), offset: 0 };
  const a = by.slopeSlope + ridge;
  const c = by.offsetOffset + ridge;
  const determinant = a * c - by.slopeOffset * by.slopeOffset;
  return {
    slope: (c * by.slope - by.slopeOffset * by.offset) / determinant,
    offset: (a * by.offset - by.slopeOffset * by.slope) / determinant,
  };
}

/** With Platt's targets, which no curve reaches at its end: (n₊+1)/(n₊+2) for agreement, 1/(n₋+2) for none. */
function problemOf({ confidence, weight, agreed }: Bins): Problem {
  const agreeing = total(agreed);
  const others = total(weight) - agreeing;
  const high = (agreeing + 1) / (agreeing + 2);
  const low = 1 / (others + 2);
  return {
    x: confidence.map(logit),
    weight,
    target: weight.map((sum, bin) => {
      const yes = agreed[bin] ?? 0;
      return yes * high + (sum - yes) * low;
    }),
  };
}

function lossOf({ x, weight, target }: Problem, { slope, offset }: Line): number {
  let loss = 0;
  for (let bin = 0; bin < x.length; bin += 1) {
    const z = slope * (x[bin] ?? 0) + offset;
    const softplus = Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z)));
    loss += (weight[bin] ?? 0) * softplus - (target[bin] ?? 0) * z;
  }
  return loss;
}

function derivativesOf({ x, weight, target }: Problem, { slope, offset }: Line): Derivatives {
  const sums = { slope: 0, offset: 0, slopeSlope: 0, slopeOffset: 0, offsetOffset: 0 };
  for (let bin = 0; bin < x.length; bin += 1) {
    const at = x[bin] ?? 0;
    const heavy = weight[bin] ?? 0;
    const probability = sigmoid(slope * at + offset);
    const error = heavy * probability - (target[bin] ?? 0);
    const curve = heavy * probability * (1 - probability);
    sums.slope += error * at;
    sums.offset += error;
    sums.slopeSlope += curve * at * at;
    sums.slopeOffset += curve * at;
    sums.offsetOffset += curve;
  }
  return sums;
}
