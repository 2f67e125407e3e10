/** How a model version does, and whether it does worse than the one before: windows of the last answers and comparisons. Pure. */

/** A mean over the last values, and how sure it is. */
export class SlidingMean {
  readonly #values: Float64Array;
  #next = 0;
  #count = 0;

  constructor(size: number) {
    this.#values = new Float64Array(size);
  }

  add(value: number): void {
    this.#values[this.#next] = value;
    this.#next = (this.#next + 1) % this.#values.length;
    this.#count = Math.min(this.#count + 1, this.#values.length);
  }

  get summary(): MeanSummary {
    let sum = 0;
    let squares = 0;
    for (let index = 0; index < this.#count; index++) {
      const value = this.#values[index] ?? 0;
      sum += value;
      squares += value * value;
    }
    const mean = this.#count === 0 ? 0 : sum / this.#count;
    const variance = this.#count < 2 ? 0 : Math.max(0, (squares - sum * mean) / (this.#count - 1));
    return { count: this.#count, mean, variance };
  }
}

/** A mean of so many values. */
export interface MeanSummary {
  readonly count: number;
  readonly mean: number;
  /** Unbiased; 0 for fewer than two values. */
  readonly variance: number;
}

/** How a version does. */
export interface VersionSummary {
  /** Share of pictures on which it failed. */
  readonly failures: MeanSummary;
  /** Share of sure answers that audits and people agreed with. */
  readonly agreement: MeanSummary;
  /** Over all comparisons: confidence less agreement. 0.2: of 100 answers 20 more were wrong than it said. */
  readonly excess: MeanSummary;
}

/** Values that a window holds. */
export const windowSize = 200;
/** Fewer values decide nothing. */
export const minValues = 20;
/** Standard errors (one-sided 99.5 %): it is asked after every answer, so chance has many tries. */
const z = 2.576;
/** Worsenings below these are let pass. */
const failureMargin = 0.05;
const agreementMargin = 0.05;
const excessMargin = 0.1;
/** Agreement below this is bad whatever was before. */
const leastAgreement = 0.5;

/** Counts for one version. */
export class VersionWatch {
  readonly #failures = new SlidingMean(windowSize);
  readonly #agreement = new SlidingMean(windowSize);
  readonly #excess = new SlidingMean(windowSize);

  /** It was asked about a picture. */
  asked(failed: boolean): void {
    this.#failures.add(failed ? 1 : 0);
  }

  /** Somebody else's answer is known. `isCheck`: of an audit or a person, not of an escalation. */
  compared(agreed: boolean, confidence: number, isCheck: boolean): void {
    if (isCheck) this.#agreement.add(agreed ? 1 : 0);
    this.#excess.add(confidence - (agreed ? 1 : 0));
  }

  get summary(): VersionSummary {
    return {
      failures: this.#failures.summary,
      agreement: this.#agreement.summary,
      excess: this.#excess.summary,
    };
  }
}

/**
 * Why the version should be given up, with the numbers; undefined while nothing speaks against it. `before` is how the one
 * before it did. Escalations are judged by what the version's own confidence promised: a better model escalates fewer and
 * harder pictures, on which plain agreement is lower.
 */
export function faultOf(now: VersionSummary, before: VersionSummary | undefined): string | undefined {
  return (
    failureFault(now.failures, before?.failures) ?? agreementFault(now, before) ?? excessFault(now, before)
  );
}

function failureFault(now: MeanSummary, before: MeanSummary | undefined): string | undefined {
  if (now.count < minValues) return undefined;
  const usual = before?.mean ?? 0;
  if (wilson(now, -z) <= usual + failureMargin) return undefined;
  return `it fails on ${percent(now.mean)} of the last ${now.count} pictures (before: ${percent(usual)})`;
}

function agreementFault(
  { agreement }: VersionSummary,
  before: VersionSummary | undefined,
): string | undefined {
  if (agreement.count < minValues) return undefined;
  const known = before !== undefined && before.agreement.count >= minValues ? before.agreement : undefined;
  const least = known === undefined ? leastAgreement : known.mean - agreementMargin;
  if (wilson(agreement, z) >= least) return undefined;
  const was = known === undefined ? "" : ` (before: ${percent(known.mean)} of ${known.count})`;
  return `audits agree with ${percent(agreement.mean)} of its last ${agreement.count} sure answers${was}`;
}

function excessFault({ excess }: VersionSummary, before: VersionSummary | undefined): string | undefined {
  if (excess.count < minValues) return undefined;
  const known = before !== undefined && before.excess.count >= minValues ? before.excess : undefined;
  const usual = Math.max(0, known?.mean ?? 0);
  const error = Math.sqrt(
    excess.variance / excess.count + (known === undefined ? 0 : known.variance / known.count),
  );
  if (excess.mean - z * error <= usual + excessMargin) return undefined;
  const was = known === undefined ? "" : ` (before: ${percent(known.mean)})`;
  return `of its last ${excess.count} answers that the cloud knows, ${percent(excess.mean)} more are wrong than its confidence says${was}`;
}

/** Bound of Wilson's score interval of a share; above for a positive z, below for a negative one. */
function wilson({ count, mean }: MeanSummary, deviations: number): number {
  const square = deviations ** 2 / count;
  const middle = mean + square / 2;
  const spread = deviations * Math.sqrt((mean * (1 - mean)) / count + square / (4 * count));
  return (middle + spread) / (1 + square);
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}
