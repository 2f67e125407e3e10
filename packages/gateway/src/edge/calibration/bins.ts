/** Pairs gathered into at most 256 neighbourhoods of confidence, so that fitting costs the same for any number of them. */
import type { Random } from "../../core/random.ts";
import { effectiveSize, sumsOf } from "./pairs.ts";
import type { SortedPairs } from "./pairs.ts";
import type { Steps } from "./steps.ts";

/** Columns over bins, in ascending order of confidence. Weights are scaled so that their sum is the effective size. */
export interface Bins {
  /** Weighted mean of the confidences. */
  readonly confidence: Float64Array;
  readonly weight: Float64Array;
  /** Of the weight, what agreed. */
  readonly agreed: Float64Array;
}

/** Bins of all pairs, and of each part of them that was left aside for a test. */
export interface FoldedBins {
  readonly all: Bins;
  readonly folds: readonly Bins[];
  /** Sum of `all.weight`. */
  readonly effectivePairs: number;
}

const MAX_BINS = 256;
/** Bins filled in a step: up to 2,500 pairs of 40,000. */
const STEP_BINS = 16;

/** Bins of equal numbers of pairs; equal confidences share one. Every pair falls into one fold at random. */
export function* foldSteps(pairs: SortedPairs, folds: number, random: Random): Steps<FoldedBins> {
  const ends = binEnds(pairs.confidence);
  const parts = Array.from({ length: folds }, () => emptyBins(ends.length));
  const all = emptyBins(ends.length);
  const { sum, squares } = sumsOf(pairs.weight);
  const effectivePairs = effectiveSize(sum, squares);
  const scale = sum > 0 ? effectivePairs / sum : 0;
  let start = 0;
  for (const [bin, end] of ends.entries()) {
    for (let place = start; place < end; place += 1) {
      const part = parts[Math.floor(random.unit() * folds)];
      if (part !== undefined) add(part, bin, pairs, place, scale);
    }
    start = end;
    if (bin % STEP_BINS === 0) yield;
  }
  for (const part of parts) {
    addColumn(all.confidence, part.confidence);
    addColumn(all.weight, part.weight);
    addColumn(all.agreed, part.agreed);
  }
  for (const bins of [all, ...parts]) divide(bins);
  return { all, folds: parts, effectivePairs };
}

/** Bins without those of one fold. */
export function without({ all }: FoldedBins, fold: Bins): Bins {
  return {
    confidence: all.confidence,
    weight: all.weight.map((weight, bin) => Math.max(weight - (fold.weight[bin] ?? 0), 0)),
    agreed: all.agreed.map((agreed, bin) => Math.max(agreed - (fold.agreed[bin] ?? 0), 0)),
  };
}

/** Sum of a column. */
export function total(column: Float64Array): number {
  let sum = 0;
  for (let place = 0; place < column.length; place += 1) sum += column[place] ?? 0;
  return sum;
}

function binEnds(confidence: Float64Array): number[] {
  const ends: number[] = [];
  const size = Math.max(1, Math.ceil(confidence.length / MAX_BINS));
  let start = 0;
  for (let place = 1; place <= confidence.length; place += 1) {
    if (place < confidence.length && (place - start < size || confidence[place] === confidence[place - 1]))
      continue;
    ends.push(place);
    start = place;
  }
  return ends;
}

function emptyBins(length: number): Bins {
  return {
    confidence: new Float64Array(length),
    weight: new Float64Array(length),
    agreed: new Float64Array(length),
  };
}

function add(bins: Bins, bin: number, pairs: SortedPairs, place: number, scale: number): void {
  const weight = (pairs.weight[place] ?? 0) * scale;
  bins.confidence[bin] = (bins.confidence[bin] ?? 0) + weight * (pairs.confidence[place] ?? 0);
  bins.weight[bin] = (bins.weight[bin] ?? 0) + weight;
  bins.agreed[bin] = (bins.agreed[bin] ?? 0) + weight * (pairs.agreed[place] ?? 0);
}

function addColumn(sum: Float64Array, part: Float64Array): void {
  for (let bin = 0; bin < part.length; bin += 1) sum[bin] = (sum[bin] ?? 0) + (part[bin] ?? 0);
}

function divide({ confidence, weight }: Bins): void {
  weight.forEach((sum, bin) => {
    if (sum > 0) confidence[bin] = (confidence[bin] ?? 0) / sum;
  });
}
