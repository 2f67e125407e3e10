/** The intended send times of an open-loop run: a pure function of rate, distribution and seed. */
import { seededRandom } from "./random.ts";

/** Requests at even distances, or as independent users send them (exponential distances). */
export type ArrivalKind = "uniform" | "poisson";

/** What fixes a sequence of send times. */
export interface ArrivalOptions {
  readonly ratePerSecond: number;
  readonly kind: ArrivalKind;
  /** Only `poisson` draws from it. */
  readonly seed: number;
}

/** Gives the next intended send time in milliseconds from the start of the run; never decreases, never ends. */
export type Arrivals = () => number;

/** Starts the sequence anew: two calls with the same options give the same times. */
export function createArrivals(options: ArrivalOptions): Arrivals {
  const intervalMs = 1000 / options.ratePerSecond;
  if (options.kind === "uniform") return uniformArrivals(intervalMs);
  const random = seededRandom(options.seed);
  let atMs = 0;
  return () => {
    atMs -= Math.log(1 - random()) * intervalMs;
    return atMs;
  };
}

function uniformArrivals(intervalMs: number): Arrivals {
  let index = 0;
  return () => {
    const atMs = index * intervalMs;
    index += 1;
    return atMs;
  };
}
