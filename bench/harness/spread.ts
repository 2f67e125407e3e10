/** Order statistics of a handful of runs. */

/** How a number came out over several runs. */
export interface Spread {
  readonly min: number;
  readonly q1: number;
  readonly median: number;
  readonly q3: number;
  readonly max: number;
}

/** Quartiles by linear interpolation between neighbours. Throws RangeError for no values. */
export function spreadOf(values: readonly number[]): Spread {
  if (values.length === 0) throw new RangeError("a spread needs at least one value, got none");
  const sorted = values.toSorted((a, b) => a - b);
  return {
    min: at(sorted, 0),
    q1: at(sorted, 0.25),
    median: at(sorted, 0.5),
    q3: at(sorted, 0.75),
    max: at(sorted, 1),
  };
}

function at(sorted: readonly number[], fraction: number): number {
  const position = fraction * (sorted.length - 1);
  const below = sorted[Math.floor(position)] ?? 0;
  const above = sorted[Math.ceil(position)] ?? below;
  return below + (above - below) * (position - Math.floor(position));
}
