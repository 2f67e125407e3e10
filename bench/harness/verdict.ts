/** Whether a measured number reaches its target, and when that cannot be said. */
import type { Spread } from "./spread.ts";

/** What a figure has to reach. */
export type Goal = { readonly atLeast: number } | { readonly atMost: number };

/** `not resolved`: the distance to the target is no larger than what equal things differ by. */
export type Verdict = "met" | "missed" | "not resolved";

/** How two numbers of a pair are compared. */
export type Comparison = "ratio" | "difference";

/**
 * Judges the median of paired comparisons. `noise` is the same comparison of the reference with itself: for ratios the
 * distance to the target counts as a factor, for differences as a difference, and the furthest of the A/A pairs from
 * "equal", in either direction, is what it has to exceed: with seven pairs of normal noise about three standard errors of
 * the median (the largest of seven is 1.6 σ away on average, the median's own error is 1.25 σ / √7).
 */
export function judgePairs(how: Comparison, measured: Spread, noise: Spread, goal: Goal): Verdict {
  const scale = how === "ratio" ? Math.log : (value: number) => value;
  const band = Math.max(Math.abs(scale(noise.min)), Math.abs(scale(noise.max)));
  const distance = scale(measured.median) - scale(targetOf(goal));
  if (Math.abs(distance) <= band) return "not resolved";
  return distance > 0 === "atLeast" in goal ? "met" : "missed";
}

/** Judges runs against a number of their own: met when every run reaches it, missed when none does. */
export function judgeRuns(measured: Spread, goal: Goal): Verdict {
  if (reaches(measured.min, goal) && reaches(measured.max, goal)) return "met";
  return reaches(measured.min, goal) || reaches(measured.max, goal) ? "not resolved" : "missed";
}

/** The number a goal names. */
export function targetOf(goal: Goal): number {
  return "atLeast" in goal ? goal.atLeast : goal.atMost;
}

function reaches(value: number, goal: Goal): boolean {
  return "atLeast" in goal ? value >= goal.atLeast : value <= goal.atMost;
}
