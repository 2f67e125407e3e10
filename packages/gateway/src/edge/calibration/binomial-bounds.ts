/** How sure one may be of a share that was counted. */

/**
 * The probability of at least `successes` of `trials` where each succeeds with `share`: I_share(successes, trials − successes + 1)
 * (DLMF 8.17.5). Both counts may be fractions, as effective sizes are.
 */
export function binomialUpperTail(successes: number, trials: number, share: number): number {
  if (successes <= 0) return 1;
  return incompleteBeta(share, Math.min(successes, trials), Math.max(trials - successes, 0) + 1);
}

/**
 * The share that is exceeded with probability `level`: the one-sided lower bound of Clopper and Pearson ("The Use of Confidence
 * or Fiducial Limits Illustrated in the Case of the Binomial", Biometrika 26, 1934). With weights, `trials` is the effective
 * size and `successes` the weighted share of it (Korn and Graubard, "Confidence Intervals for Proportions With Small Expected
 * Number of Positive Counts Estimated From Survey Data", Survey Methodology 24, 1998). 0 without trials.
 */
export function lowerBound(successes: number, trials: number, level: number): number {
  if (successes <= 0 || trials <= 0) return 0;
  return solve((share) => binomialUpperTail(successes, trials, share), 1 - level);
}

/** The share that is not exceeded with probability `level`; as `lowerBound`. 1 without trials. */
export function upperBound(successes: number, trials: number, level: number): number {
  return 1 - lowerBound(trials - successes, trials, level);
}

/**
 * The lower bound of Wilson ("Probable Inference, the Law of Succession, and Statistical Inference", JASA 22, 1927) at 95 %:
 * quick to compute, for ranking.
 */
export function wilsonLowerBound(successes: number, trials: number): number {
  if (trials <= 0) return 0;
  const z = 1.6448536;
  const share = successes / trials;
  const spread = z * Math.sqrt((share * (1 - share) + (z * z) / (4 * trials)) / trials);
  return Math.max(0, (share + (z * z) / (2 * trials) - spread) / (1 + (z * z) / trials));
}

/** Where a rising function of a share reaches a value: 50 halvings. */
function solve(rising: (share: number) => number, value: number): number {
  let low = 0;
  let high = 1;
  for (let step = 0; step < 50; step += 1) {
    const middle = (low + high) / 2;
    if (rising(middle) < value) low = middle;
    else high = middle;
  }
  return low;
}

/** The regularised incomplete beta function I_x(a, b) for a, b > 0: DLMF 8.17.22, turned by 8.17.4 where that converges faster. */
export function incompleteBeta(x: number, a: number, b: number): number {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  const front = Math.exp(lnGamma(a + b) - lnGamma(a) - lnGamma(b) + a * Math.log(x) + b * Math.log1p(-x));
  return x < (a + 1) / (a + b + 2)
    ? (front * continuedFraction(x, a, b)) / a
    : 1 - (front * continuedFraction(1 - x, b, a)) / b;
}

const TINY = 1e-300;
const MAX_TERMS = 10_000;

/** Lentz's method for 1/(1+ d1/(1+ d2/(1+ …))), the reciprocal built in. */
function continuedFraction(x: number, a: number, b: number): number {
  let c = 1;
  let d = 1 / nonZero(1 - ((a + b) * x) / (a + 1));
  let result = d;
  for (let m = 1; m < MAX_TERMS; m += 1) {
    const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / nonZero(1 + even * d);
    c = nonZero(1 + even / c);
    result *= d * c;
    const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / nonZero(1 + odd * d);
    c = nonZero(1 + odd / c);
    result *= d * c;
    if (Math.abs(d * c - 1) < 1e-13) break;
  }
  return result;
}

function nonZero(value: number): number {
  return Math.abs(value) < TINY ? TINY : value;
}

/** Lanczos' approximation with g = 7 and nine terms (Numerical Analysis B 1, 1964): relative error below 1e-13 for x ≥ 0.5. */
const LANCZOS = [
  676.5203681218851, -1259.1392167224028, 771.3234287776531, -176.6150291621406, 12.507343278686905,
  -0.13857109526572012, 9.984369578019572e-6, 1.5056327351493116e-7,
] as const;

/** The natural logarithm of the gamma function, for x > 0. */
export function lnGamma(x: number): number {
  if (x < 0.5) return lnGamma(x + 1) - Math.log(x);
  let series = 0.9999999999998099;
  LANCZOS.forEach((term, index) => {
    series += term / (x + index);
  });
  const t = x + 6.5;
  return 0.5 * Math.log(2 * Math.PI) + (x - 0.5) * Math.log(t) - t + Math.log(series);
}
