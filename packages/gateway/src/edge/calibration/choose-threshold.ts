/** Finds the threshold that keeps the most answers at the edge and still has the wished agreement with the cloud. */
import { binomialUpperTail, lowerBound, upperBound, wilsonLowerBound } from "./binomial-bounds.ts";
import { effectiveSize, sortPairs, sumsOf } from "./pairs.ts";
import type { CalibrationPair, PairColumns, SortedPairs } from "./pairs.ts";
import { finish, type Steps } from "./steps.ts";

/** What is wished. */
export interface ThresholdSettings {
  /** Share of the answers kept at the edge that the cloud would have given alike, 0..1, such as 0.98. */
  readonly wishedAgreement: number;
  /** How sure that must be, 0..1. Default 0.95. */
  readonly level?: number;
}

/** A share with its one-sided bounds, each of the level asked for. */
export interface ShareEstimate {
  readonly estimate: number;
  readonly low: number;
  readonly high: number;
}

/** What a threshold does. */
export interface ThresholdOutcome {
  /** Answers with at least this confidence, as the model says it, stay at the edge. */
  readonly threshold: number;
  /** Of the answers that stay. */
  readonly agreement: ShareEstimate;
  /** Share of all answers that go to the cloud. */
  readonly escalations: ShareEstimate;
  /** Pairs at or above the threshold. */
  readonly keptPairs: number;
}

/** A threshold, or why there is none and the one that comes nearest. */
export type ThresholdChoice = {
  readonly level: number;
  readonly wishedAgreement: number;
  readonly pairs: number;
  readonly effectivePairs: number;
} & (
  | ({ readonly kind: "reached" } & ThresholdOutcome)
  | {
      readonly kind: "unreachable";
      readonly why: string;
      /** The threshold with the best lower bound of agreement among those that keep enough pairs; undefined without pairs. */
      readonly best: ThresholdOutcome | undefined;
    }
);

/** A place in the sequence: all pairs from `start` on are kept. */
interface Candidate {
  readonly start: number;
  /** Effective number of pairs kept. */
  readonly size: number;
  /** Weighted share of them that agreed. */
  readonly share: number;
}

/** Thresholds that are looked at, one for each of so many equal parts of all weight. */
const CANDIDATES = 512;

/** Done in a step. */
const STEP_CANDIDATES = 16;
const STEP_PAIRS = 4096;

/**
 * Where the sequence of tests begins, and the shares of the allowed error that are spent there. Most goes to a beginning deep
 * enough for a few disagreements not to end it: a quarter of all that is known. The others serve detectors that are only right
 * when they are very sure.
 */
const BEGINNINGS: readonly {
  readonly share: number;
  readonly size: (needed: number, all: number) => number;
}[] = [
  { share: 0.1, size: (needed) => needed },
  { share: 0.2, size: (needed) => 4 * needed },
  { share: 0.7, size: (needed, all) => Math.max(all / 4, needed) },
];

/**
 * The lowest threshold proven to reach the wished agreement: with probability `level` the agreement of all answers it keeps is
 * not below the wish, although the threshold is chosen on the same pairs. For this, thresholds are tested in a fixed order, from
 * the highest down, and a test that fails ends the sequence (Learn then Test, Angelopoulos et al., 2021, arXiv:2110.01052). The
 * sequence has three beginnings which share the allowed error; error proven not to be spent is handed down (the fallback
 * procedure: Wiens, "A fixed sequence Bonferroni procedure for testing multiple endpoints", Pharmaceutical Statistics 2, 2003).
 * Where tests lie depends on confidences and weights alone. Each is the exact binomial test with the effective number of pairs
 * kept, which is exact for equal weights and errs to the safe side where heavy pairs agree more often than light ones, as audits do.
 */
export function chooseThreshold(
  pairs: readonly CalibrationPair[] | PairColumns,
  settings: ThresholdSettings,
): ThresholdChoice {
  return finish(chooseSteps(sortPairs(pairs), settings));
}

/** `chooseThreshold` in steps. */
export function* chooseSteps(
  columns: SortedPairs,
  { wishedAgreement, level = 0.95 }: ThresholdSettings,
): Steps<ThresholdChoice> {
  const sums = sumsOf(columns.weight);
  const common = {
    level,
    wishedAgreement,
    pairs: columns.confidence.length,
    effectivePairs: effectiveSize(sums.sum, sums.squares),
  };
  const needed = pairsNeeded(wishedAgreement, level);
  const candidates = yield* candidateSteps(columns, sums.sum);
  const chosen = yield* provingSteps(candidates, needed, common);
  yield;
  if (chosen !== undefined) return { kind: "reached", ...common, ...outcomeOf(columns, chosen, level) };
  const best = nearest(candidates, needed);
  const why =
    common.effectivePairs < needed
      ? `${needed} pairs of equal weight are needed, there are ${Math.floor(common.effectivePairs)}`
      : "no threshold with enough answers above it was seen to agree often enough";
  return { kind: "unreachable", why, ...common, best: best && outcomeOf(columns, best, level) };
}

/**
 * The least number of pairs that can prove an agreement: all of them agreeing by chance has probability agreementⁿ. 149 for
 * 98 % at a level of 95 %.
 */
export function pairsNeeded(agreement: number, level: number): number {
  if (agreement <= 0) return 1;
  return agreement >= 1 ? Infinity : Math.max(1, Math.ceil(Math.log(1 - level) / Math.log(agreement)));
}

/** The lowest candidate that is proven. */
function* provingSteps(
  candidates: readonly Candidate[],
  needed: number,
  { level, wishedAgreement }: Required<ThresholdSettings>,
): Steps<Candidate | undefined> {
  const beginnings = beginningsOf(candidates, needed);
  let chosen: Candidate | undefined;
  let inHand = 0;
  for (const [place, candidate] of candidates.entries()) {
    if (place % STEP_CANDIDATES === 0) yield;
    const allowed = inHand + (beginnings.get(place) ?? 0) * (1 - level);
    if (allowed === 0) continue;
    const byChance = binomialUpperTail(candidate.share * candidate.size, candidate.size, wishedAgreement);
    inHand = byChance <= allowed ? allowed : 0;
    if (inHand > 0) chosen = candidate;
  }
  return chosen;
}

/** The places of the beginnings and their shares. What begins beyond the last place is spent where the quarter begins. */
function beginningsOf(candidates: readonly Candidate[], needed: number): Map<number, number> {
  const beginnings = new Map<number, number>();
  const all = candidates.at(-1)?.size ?? 0;
  for (const { share, size } of BEGINNINGS) {
    const wanted = size(needed, all);
    const least = wanted <= all ? wanted : Math.max(all / 4, needed);
    const place = candidates.findIndex((candidate) => candidate.size >= least);
    if (place >= 0) beginnings.set(place, (beginnings.get(place) ?? 0) + share);
  }
  return beginnings;
}

/** Among those with enough pairs to prove anything, or else the one with the most. */
function nearest(candidates: readonly Candidate[], needed: number): Candidate | undefined {
  let best = candidates.at(-1);
  let most = -1;
  for (const candidate of candidates) {
    if (candidate.size < needed) continue;
    const low = wilsonLowerBound(candidate.share * candidate.size, candidate.size);
    if (low <= most) continue;
    most = low;
    best = candidate;
  }
  return best;
}

/** From the highest threshold down; equal confidences are kept or sent together. */
function* candidateSteps({ confidence, weight, agreed }: SortedPairs, all: number): Steps<Candidate[]> {
  const candidates: Candidate[] = [];
  let kept = 0;
  let squares = 0;
  let agreeing = 0;
  for (let start = confidence.length - 1; start >= 0; start -= 1) {
    const one = weight[start] ?? 0;
    if (start % STEP_PAIRS === 0) yield;
    kept += one;
    squares += one * one;
    agreeing += one * (agreed[start] ?? 0);
    if (start > 0 && sameConfidence(confidence, start - 1, start)) continue;
    if (start > 0 && kept < ((candidates.length + 1) * all) / CANDIDATES) continue;
    candidates.push({ start, size: effectiveSize(kept, squares), share: agreeing / kept });
  }
  return candidates;
}

function outcomeOf(columns: SortedPairs, { start, size, share }: Candidate, level: number): ThresholdOutcome {
  const all = sumsOf(columns.weight);
  let below = 0;
  for (let place = 0; place < start; place += 1) below += columns.weight[place] ?? 0;
  const escalated = all.sum > 0 ? below / all.sum : 0;
  return {
    threshold: leastFrom(columns.confidence, start),
    agreement: boundsOf(share, size, level),
    escalations: boundsOf(escalated, effectiveSize(all.sum, all.squares), level),
    keptPairs: columns.confidence.length - start,
  };
}

/** Sorted pairs are in order as far as 32-bit floats tell. */
function sameConfidence(confidence: Float64Array, one: number, other: number): boolean {
  return Math.fround(confidence[one] ?? 0) === Math.fround(confidence[other] ?? 0);
}

/** The least of the confidences that are the same as the one at `start`. */
function leastFrom(confidence: Float64Array, start: number): number {
  let least = confidence[start] ?? 0;
  for (let place = start + 1; place < confidence.length; place += 1) {
    if (!sameConfidence(confidence, start, place)) break;
    least = Math.min(least, confidence[place] ?? 1);
  }
  return least;
}

function boundsOf(estimate: number, size: number, level: number): ShareEstimate {
  const successes = estimate * size;
  return { estimate, low: lowerBound(successes, size, level), high: upperBound(successes, size, level) };
}
