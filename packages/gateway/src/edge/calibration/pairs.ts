/** Pairs of what the edge was sure of and whether the cloud agreed: what every calibration is made from. */

import { finish, type Steps } from "./steps.ts";

/**
 * One answer of the edge that the cloud answered too. Which answers become pairs depends on their confidence: unsure ones are
 * escalated, of the sure ones a share is audited. `weight` mends that: it is how many answers of the edge the pair stands for,
 * the inverse of the probability with which it was chosen (Horvitz and Thompson, "A Generalization of Sampling Without
 * Replacement From a Finite Universe", JASA 47, 1952): 1 where every such answer is escalated, 1/auditRate for an audit.
 */
export interface CalibrationPair {
  /** What the model said, 0..1, before any calibration. */
  readonly confidence: number;
  /** Whether the cloud's label was the edge's. */
  readonly agreed: boolean;
  /** Above 0; default 1. */
  readonly weight?: number;
}

/** Pairs as columns of equal length: 17 bytes each, and moved between threads as they are. */
export interface PairColumns {
  readonly confidence: Float64Array;
  /** 1 where the cloud agreed. */
  readonly agreed: Uint8Array;
  readonly weight: Float64Array;
}

/** Pairs in ascending order of confidence; those closer to each other than a 32-bit float can tell keep the order they came in. */
export interface SortedPairs extends PairColumns {
  /** Pairs left out because a number of theirs makes no sense. */
  readonly invalid: number;
}

/** Columns of pairs. */
export function columnsOf(pairs: readonly CalibrationPair[]): PairColumns {
  const columns = emptyColumns(pairs.length);
  for (let place = 0; place < pairs.length; place += 1) {
    const pair = pairs[place];
    if (pair === undefined) continue;
    columns.confidence[place] = pair.confidence;
    columns.agreed[place] = pair.agreed ? 1 : 0;
    columns.weight[place] = pair.weight ?? 1;
  }
  return columns;
}

/** Columns of zeros. */
export function emptyColumns(length: number): PairColumns {
  return {
    confidence: new Float64Array(length),
    agreed: new Uint8Array(length),
    weight: new Float64Array(length),
  };
}

/** Pairs sorted, whatever they came as. */
export function sortPairs(pairs: readonly CalibrationPair[] | PairColumns | SortedPairs): SortedPairs {
  return finish(sortSteps(pairs));
}

/** `sortPairs` in steps. Plain loops: mapping functions of typed arrays take ten times as long. */
export function* sortSteps(
  pairs: readonly CalibrationPair[] | PairColumns | SortedPairs,
): Steps<SortedPairs> {
  if ("invalid" in pairs) return pairs;
  const { confidence, agreed, weight } = "confidence" in pairs ? pairs : columnsOf(pairs);
  yield;
  const order = yield* orderSteps(confidence, weight);
  const sorted = { ...emptyColumns(order.length), invalid: confidence.length - order.length };
  for (let place = 0; place < order.length; place += 1) {
    if (place % STEP_PAIRS === 0) yield;
    const from = order[place] ?? 0;
    sorted.confidence[place] = confidence[from] ?? 0;
    sorted.agreed[place] = agreed[from] ?? 0;
    sorted.weight[place] = weight[from] ?? 0;
  }
  return sorted;
}

/**
 * How many pairs of equal weight say as much as these: (Σw)² / Σw² (Kish, "Survey Sampling", 1965, section 8.2). 0 without any.
 */
export function effectiveSize(sum: number, sumOfSquares: number): number {
  return sumOfSquares > 0 ? (sum * sum) / sumOfSquares : 0;
}

/** Sum and sum of squares of weights. */
export function sumsOf(weights: Float64Array): { readonly sum: number; readonly squares: number } {
  let sum = 0;
  let squares = 0;
  for (let place = 0; place < weights.length; place += 1) {
    const weight = weights[place] ?? 0;
    sum += weight;
    squares += weight * weight;
  }
  return { sum, squares };
}

const DIGIT_BITS = 10;
/** Done in a step. */
const STEP_PAIRS = 4096;
const DIGITS = 3;

/**
 * Places of the valid pairs in ascending order of confidence: a radix sort by three digits of the 32-bit float's bits, which
 * order like the number and need 30 bits for all from 0 to 1. It takes as long for any order, and grows with the number alone.
 */
function* orderSteps(confidence: Float64Array, weight: Float64Array): Steps<Uint32Array> {
  const keys = new Uint32Array(new Float32Array(confidence).buffer);
  let places = new Uint32Array(confidence.length);
  let valid = 0;
  for (let place = 0; place < confidence.length; place += 1) {
    if (place % STEP_PAIRS === 0) yield;
    const at = confidence[place] ?? -1;
    const heavy = weight[place] ?? 0;
    if (!(at >= 0 && at <= 1 && heavy > 0 && heavy < Infinity)) continue;
    // The bits of -0 are those of a large number.
    if (at === 0) keys[place] = 0;
    places[valid++] = place;
  }
  places = places.subarray(0, valid);
  let spare = new Uint32Array(valid);
  for (let digit = 0; digit < DIGITS; digit += 1) {
    yield* dealSteps(keys, places, spare, digit * DIGIT_BITS);
    [places, spare] = [spare, places];
  }
  yield;
  return places;
}

/** One pass: places by ten bits of their keys, those with the same ten in the order they had. */
function* dealSteps(keys: Uint32Array, from: Uint32Array, to: Uint32Array, shift: number): Steps<undefined> {
  const mask = (1 << DIGIT_BITS) - 1;
  const starts = new Uint32Array(mask + 2);
  for (let at = 0; at < from.length; at += 1) {
    if (at % STEP_PAIRS === 0) yield;
    const digit = ((keys[from[at] ?? 0] ?? 0) >>> shift) & mask;
    starts[digit + 1] = (starts[digit + 1] ?? 0) + 1;
  }
  for (let digit = 0; digit < mask; digit += 1)
    starts[digit + 1] = (starts[digit + 1] ?? 0) + (starts[digit] ?? 0);
  for (let at = 0; at < from.length; at += 1) {
    if (at % STEP_PAIRS === 0) yield;
    const place = from[at] ?? 0;
    const digit = ((keys[place] ?? 0) >>> shift) & mask;
    const start = starts[digit] ?? 0;
    to[start] = place;
    starts[digit] = start + 1;
  }
  return undefined;
}
