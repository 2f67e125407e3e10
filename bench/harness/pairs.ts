/** Interleaved comparison: ours, the reference, and the reference once more, in an order that changes every round. */
import { spreadOf } from "./spread.ts";
import type { Spread } from "./spread.ts";
import type { Comparison } from "./verdict.ts";

/** The three runs of a round; `again` is the second run of the reference, the other half of the A/A pair. */
export type Side = "ours" | "reference" | "again";

/** One round: each side once. */
export type Round<Run> = Readonly<Record<Side, Run>>;

/** How to compare. A run is whatever one run of a side gives. */
export interface PairOptions<Run> {
  /** Rounds; each gives one pair and one A/A pair. */
  readonly pairs: number;
  readonly ours: () => Promise<Run>;
  readonly reference: () => Promise<Run>;
  /** Called after each run. Rounds count from 1. */
  readonly onRun?: (run: Run, of: { readonly round: number; readonly side: Side }) => void;
}

/** What a number came to over all rounds. */
export interface PairedResult {
  readonly ours: Spread;
  readonly reference: Spread;
  /** Ours against the reference of the same round. */
  readonly compared: Spread;
  /** The reference against itself in the same round: what equal things differ by. */
  readonly noise: Spread;
}

/** Every order of the three sides: over six rounds each stands twice in each place. */
const ORDERS: readonly (readonly Side[])[] = [
  ["ours", "reference", "again"],
  ["again", "reference", "ours"],
  ["reference", "ours", "again"],
  ["again", "ours", "reference"],
  ["ours", "again", "reference"],
  ["reference", "again", "ours"],
];

/** The order of a round, counted from 0. */
export function orderOf(round: number): readonly Side[] {
  return ORDERS[round % ORDERS.length] ?? [];
}

/** Runs all rounds, one run after another. */
export async function runPairs<Run>(options: PairOptions<Run>): Promise<Round<Run>[]> {
  const measure = { ours: options.ours, reference: options.reference, again: options.reference };
  const rounds: Round<Run>[] = [];
  for (let round = 0; round < options.pairs; round += 1) {
    const runs: Partial<Record<Side, Run>> = {};
    for (const side of orderOf(round)) {
      const run = await measure[side]();
      runs[side] = run;
      options.onRun?.(run, { round: round + 1, side });
    }
    rounds.push(runs as Round<Run>);
  }
  return rounds;
}

/** Compares one number of the runs. */
export function comparePairs<Run>(
  rounds: readonly Round<Run>[],
  how: Comparison,
  value: (run: Run) => number,
): PairedResult {
  const compare = (of: Side): Spread =>
    spreadOf(
      rounds.map((round) => {
        const [ours, theirs] = [value(round[of]), value(round.reference)];
        return how === "ratio" ? ours / theirs : ours - theirs;
      }),
    );
  return {
    ours: spreadOf(rounds.map((round) => value(round.ours))),
    reference: spreadOf(rounds.flatMap((round) => [value(round.reference), value(round.again)])),
    compared: compare("ours"),
    noise: compare("again"),
  };
}

/** All runs of a side; the reference's include those that ran again. */
export function runsOf<Run>(rounds: readonly Round<Run>[], side: "ours" | "reference"): Run[] {
  return rounds.flatMap((round) => (side === "ours" ? [round.ours] : [round.reference, round.again]));
}
