/** What a figure is: one claim about performance or reliability, measured by one command. */
import type { LoadPlan } from "../load/load-spec.ts";
import type { PairedResult } from "./pairs.ts";
import type { Spread } from "./spread.ts";
import { judgePairs, judgeRuns, targetOf } from "./verdict.ts";
import type { Comparison, Goal, Verdict } from "./verdict.ts";

/**
 * How much is run. `quick` shortens every phase to a second and shows that a figure works; `smoke` shortens it further,
 * for the test of the figures. Verdicts about time and memory count at full scale only.
 */
export type Scale = "full" | "quick" | "smoke";

/** What a figure is given. */
export interface FigureContext {
  readonly scale: Scale;
  /** Rounds of an interleaved comparison: at least 7 at full scale. */
  readonly pairs: number;
  /** A folder of this run for models and whatever else it writes; removed after it. */
  readonly directory: string;
  /** Tells progress. */
  log(line: string): void;
}

/** One line of the table. */
export interface FigureRow {
  readonly what: string;
  readonly target: string;
  /** Median, quartiles, extremes; of comparisons with the A/A pairs. */
  readonly measured: string;
  /** The median alone. */
  readonly median: string;
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
    median: format(compared.median),
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
    median: format(measured.median),
    verdict: judgeRuns(measured, options.goal),
  };
}

/** A line below the table: both sides and how they compare. For what has no target of its own. */
export function pairedLine(what: string, result: PairedResult, unit: string): string {
  const { ours, reference, compared, noise } = result;
  return `${what}: ours ${spreadText(ours)} ${unit}, reference ${spreadText(reference)} ${unit}; compared ${spreadText(compared)}; A/A ${spreadText(noise)}`;
}

/** Median, quartiles in brackets, extremes in parentheses. */
export function spreadText(spread: Spread, format: (value: number) => string = digits): string {
  const { min, q1, median, q3, max } = spread;
  if (min === max) return format(median);
  return `${format(median)} [${format(q1)}–${format(q3)}] (${format(min)}–${format(max)})`;
}

/** The longest a phase, a warm-up or a pause takes, and the most repetitions and requests, below full scale. */
const SHORT = {
  quick: { phaseMs: 1000, warmUpMs: 300, pauseMs: 500, repetitions: 2, requests: 200 },
  smoke: { phaseMs: 200, warmUpMs: 50, pauseMs: 50, repetitions: 1, requests: 50 },
} as const;

/** A plan with its phases shortened below full scale. */
export function scaledPlan(plan: LoadPlan, scale: Scale): LoadPlan {
  if (scale === "full") return plan;
  const short = SHORT[scale];
  const bound =
    "durationMs" in plan.bound
      ? { durationMs: Math.min(plan.bound.durationMs, short.phaseMs) }
      : { requests: Math.min(plan.bound.requests, short.requests) };
  return { ...plan, warmUpMs: Math.min(plan.warmUpMs, short.warmUpMs), bound };
}

/** A time outside of a load plan, shortened below full scale. */
export function scaledMs(ms: number, scale: Scale): number {
  return scale === "full" ? ms : Math.min(ms, SHORT[scale].pauseMs);
}

/** How often something is repeated, less often below full scale. */
export function scaledCount(count: number, scale: Scale): number {
  return scale === "full" ? count : Math.min(count, SHORT[scale].repetitions);
}

/** Millions of bytes. */
export function megabytes(bytes: number): number {
  return bytes / 1e6;
}

/** Three significant digits, whole numbers from 100 on. */
export function digits(value: number): string {
  return Math.abs(value) >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(3)));
}

function goalText(goal: Goal, format: (value: number) => string): string {
  return `${"atLeast" in goal ? "≥" : "≤"} ${format(targetOf(goal))}`;
}
