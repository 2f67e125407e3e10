/** Joins pairs of the two kinds of comparison, of which different shares are kept. */
import { total } from "./bins.ts";
import { emptyColumns, type PairColumns } from "./pairs.ts";

/** Pairs that were chosen in one way: all escalated ones, or all audited ones. */
export interface Stratum {
  /** The newest ones, with the weights they came with. */
  readonly kept: PairColumns;
  /** Weight of all that ever came, those dropped for newer ones included. */
  readonly seenWeight: number;
}

/**
 * One population from several strata: the weights of each are scaled so that what was kept stands for all that was seen
 * (post-stratification; Holt and Smith, JRSS A 142, 1979). Without this a bound on the number of pairs would make the kind
 * that comes more often look rarer than it is.
 */
export function poolStrata(strata: readonly Stratum[]): PairColumns {
  const length = strata.reduce((sum, { kept }) => sum + kept.confidence.length, 0);
  const pooled = emptyColumns(length);
  let start = 0;
  for (const { kept, seenWeight } of strata) {
    const keptWeight = total(kept.weight);
    const scale = keptWeight > 0 ? Math.max(seenWeight / keptWeight, 1) : 1;
    pooled.confidence.set(kept.confidence, start);
    pooled.agreed.set(kept.agreed, start);
    for (let place = 0; place < kept.weight.length; place += 1)
      pooled.weight[start + place] = (kept.weight[place] ?? 0) * scale;
    start += kept.confidence.length;
  }
  return pooled;
}
