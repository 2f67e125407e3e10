/** Children that hold more than one number: histograms and summaries. */
import type { MetricHistogram } from "../contracts/telemetry.ts";
import { formatNumber } from "./exposition.ts";
import type { ChildKind } from "./family.ts";

/** Counts by bucket; what is kept is each bucket's own count, summed up only when written. */
class Histogram implements MetricHistogram {
  /** One more than there are bounds: the last is `+Inf`. */
  readonly counts: Float64Array;
  sum = 0;
  readonly #bounds: Float64Array;

  constructor(bounds: Float64Array) {
    this.#bounds = bounds;
    this.counts = new Float64Array(bounds.length + 1);
  }

  /** A value on a bound belongs to that bound's bucket. NaN is not counted: it would spoil the sum for ever. */
  observe(value: number): void {
    if (Number.isNaN(value)) return;
    let low = 0;
    let high = this.#bounds.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (value <= (this.#bounds[middle] ?? Infinity)) high = middle;
      else low = middle + 1;
    }
    this.counts[low] = (this.counts[low] ?? 0) + 1;
    this.sum += value;
  }
}

/** Histograms over the given upper bounds. Throws unless they ascend. */
export function histogramKind(name: string, buckets: readonly number[]): ChildKind<Histogram> {
  const ascending = buckets.every((bound, index) => index === 0 || bound > (buckets[index - 1] ?? bound));
  if (buckets.length === 0 || !ascending || !buckets.every(Number.isFinite)) {
    throw new Error(`${name}: buckets must be finite and ascend, got [${buckets.join(", ")}]`);
  }
  const bounds = Float64Array.from(buckets);
  const limits = [...buckets, Infinity].map((bound) => `le="${formatNumber(bound)}"} `);
  return {
    type: "histogram",
    create: () => new Histogram(bounds),
    add(sum, child) {
      child.counts.forEach((count, index) => void (sum.counts[index] = (sum.counts[index] ?? 0) + count));
      sum.sum += child.sum;
    },
    write(family, labels, child) {
      const start = `${family}_bucket{${labels}${labels === "" ? "" : ","}`;
      let total = 0;
      let text = "";
      for (let index = 0; index < limits.length; index++) {
        total += child.counts[index] ?? 0;
        text += `${start}${limits[index]}${total}\n`;
      }
      return text + writeTotals(family, labels, { sum: child.sum, count: total });
    },
  };
}

/** A summary whose owner sets all numbers before each exposition. */
export interface Summary {
  /** By the family's quantiles, in their order. */
  readonly values: Float64Array;
  sum: number;
  count: number;
}

/** Summaries of the given quantiles, 0 to 1. */
export function summaryKind(quantiles: readonly number[]): ChildKind<Summary> {
  return {
    type: "summary",
    create: () => ({ values: new Float64Array(quantiles.length), sum: 0, count: 0 }),
    add() {
      throw new TypeError("quantiles cannot be added up");
    },
    write(family, labels, child) {
      const start = `${family}{${labels}${labels === "" ? "" : ","}`;
      const lines = quantiles.map(
        (quantile, index) => `${start}quantile="${quantile}"} ${formatNumber(child.values[index] ?? 0)}\n`,
      );
      return lines.join("") + writeTotals(family, labels, child);
    },
  };
}

function writeTotals(
  family: string,
  labels: string,
  totals: { readonly sum: number; readonly count: number },
): string {
  const braces = labels === "" ? "" : `{${labels}}`;
  return `${family}_sum${braces} ${formatNumber(totals.sum)}\n${family}_count${braces} ${totals.count}\n`;
}
