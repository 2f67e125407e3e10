/** Pairs of what the edge was sure of and whether the cloud agreed: what every calibration is made from. */

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

/** Pairs in ascending order of confidence, as columns. */
export interface SortedPairs {
  readonly confidence: Float64Array;
  /** 1 where the cloud agreed. */
  readonly agreed: Uint8Array;
  readonly weight: Float64Array;
  /** Pairs left out because a number of theirs makes no sense. */
  readonly invalid: number;
}

/** The most pairs that are sorted at once. */
const MAX_PAIRS = 2 ** 22;

/**
 * Sorts pairs. A key is the confidence as a 32-bit float, whose bits order like the number for all from 0 to 1, and the place
 * of the pair: 52 bits, so that the platform's sort of numbers does it without a comparison function (1 ms for 10,000).
 * Confidences closer than 6e-8 keep the order they came in. Throws RangeError for more than 4,194,304.
 */
export function sortPairs(pairs: readonly CalibrationPair[]): SortedPairs {
  if (pairs.length > MAX_PAIRS) throw new RangeError(`at most ${MAX_PAIRS} pairs, got ${pairs.length}`);
  const keys = keysOf(pairs);
  keys.sort();
  const confidence = new Float64Array(keys.length);
  const agreed = new Uint8Array(keys.length);
  const weight = new Float64Array(keys.length);
  for (let place = 0; place < keys.length; place += 1) {
    const pair = pairs[(keys[place] ?? 0) % MAX_PAIRS];
    if (pair === undefined) continue;
    confidence[place] = pair.confidence;
    agreed[place] = pair.agreed ? 1 : 0;
    weight[place] = pair.weight ?? 1;
  }
  return { confidence, agreed, weight, invalid: pairs.length - keys.length };
}

/** The columns of pairs that may be sorted already. */
export function sorted(pairs: readonly CalibrationPair[] | SortedPairs): SortedPairs {
  return "invalid" in pairs ? pairs : sortPairs(pairs);
}

/**
 * How many pairs of equal weight say as much as these: (Σw)² / Σw² (Kish, "Survey Sampling", 1965, section 8.2). 0 without any.
 */
export function effectiveSize(sum: number, sumOfSquares: number): number {
  return sumOfSquares > 0 ? (sum * sum) / sumOfSquares : 0;
}

function keysOf(pairs: readonly CalibrationPair[]): Float64Array {
  const bits = new Uint32Array(1);
  const float = new Float32Array(bits.buffer);
  const keys = new Float64Array(pairs.length);
  let valid = 0;
  pairs.forEach(({ confidence, weight = 1 }, place) => {
    if (!(confidence >= 0 && confidence <= 1 && weight > 0 && weight < Infinity)) return;
    // -0 has the bits of a large number; adding 0 makes it 0.
    float[0] = confidence + 0;
    keys[valid++] = (bits[0] ?? 0) * MAX_PAIRS + place;
  });
  return keys.subarray(0, valid);
}
