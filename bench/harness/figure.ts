/** What a figure is: one claim about performance or reliability, measured by one command. */
import type { LoadPlan } from "../load/load-spec.ts";
import type { PairedResult } from "./pairs.ts";
import type { Spread } from "./spread.ts";
import { judgePairs, judgeRuns, targetOf } from "./verdict.ts";
import type { Comparison, Goal, Verdict } from "./verdict.ts";

/** How much is run. `quick` shortens every phase and shows that a figure works; its verdicts do not count. */
export type Scale = "full" | "quick";

/** What a figure is given. */
export interface FigureContext {
  readonly scale: Scale;
  /** Rounds of an interleaved comparison: at least 7 at full scale. */
  readonly pairs: number;
  /** Tells progress. */
  log(line: string): void;
}

/** One line of the table. */
export interface FigureRow {
  readonly what: string;
  readonly target: string;
  readonly measured: string;
  readonly verdict: Verdict;
}

/** What a figure found. */
export interface FigureResult {
  readonly rows: readonly FigureRow[];
  /** Printed below the table: what every process used, and what speaks against the measurement. */
  readonly details?: readonly string[];
  /** Everything measured, as plain JSON. */
  readonly data: unknown;
}

/** A module in `bench/figures/` exports one as `figure`. */
export interface Figure {
  /** Name on the command line and of the result file. */
  readonly id: string;
  readonly title: string;
  /** The target in words. */
  readonly target: string;
  run(context: FigureContext): Promise<FigureResult>;
}

/** How a row names and prints a number. */
export interface RowOptions {
  readonly what: string;
  readonly goal: Goal;
  /** Default: three significant digits. */
  readonly format?: (value: number) => string;
}

/** A row for ours against the reference, judged with the A/A pairs as noise. */
export function pairedRow(how: Comparison, result: PairedResult, options: RowOptions): FigureRow {
  const format = options.format ?? digits;
  const { compared, noise } = result;
  return {
    what: options.what,
    target: goalText(options.goal, format),
    measured: `${spreadText(compared, format)}; A/A ${spreadText(noise, format)}`,
    verdict: judgePairs(how, compared, noise, options.goal),
  };
}

/** A row for numbers judged by themselves. */
export function runsRow(measured: Spread, options: RowOptions): FigureRow {
  const format = options.format ?? digits;
  return {
    what: options.what,
    target: goalText(options.goal, format),
    measured: spreadText(measured, format),
    verdict: judgeRuns(measured, options.goal),
  };
}

/** Median, quartiles in brackets, extremes in parentheses. */
export function spreadText(spread: Spread, format: (value: number) => string = digits): string {
  const { min, q1, median, q3, max } = spread;
  if (min === max) return format(median);
  return `${format(median)} [${format(q1)}–${format(q3)}] (${format(min)}–${format(max)})`;
}

/** A plan with its phases shortened for a quick run. */
export function scaledPlan(plan: LoadPlan, scale: Scale): LoadPlan {
  if (scale === "full") return plan;
  const bound =
    "durationMs" in plan.bound
      ? { durationMs: Math.min(plan.bound.durationMs, 1000) }
      : { requests: Math.min(plan.bound.requests, 200) };
  return { ...plan, warmUpMs: Math.min(plan.warmUpMs, 300), bound };
}

/** Three significant digits, whole numbers from 100 on. */
export function digits(value: number): string {
  return Math.abs(value) >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(3)));
}

function goalText(goal: Goal, format: (value: number) => string): string {
  return `${"atLeast" in goal ? "≥" : "≤"} ${format(targetOf(goal))}`;
}
