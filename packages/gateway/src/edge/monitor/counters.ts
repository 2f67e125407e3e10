/**
 * What is counted of a detector in an hour: numbers at fixed places, so that counting is an addition, and the rest (classes,
 * error codes) by name, bounded. The names are those of the store's activity.
 */
import { escalationReasons, withheldReasons } from "../../core/detector.ts";

/** Who answered, as an observation says it. */
const answerers = ["edge", "cloud", "later", "none"] as const;

/** Where an answer of the cloud came from that is compared with the edge's. */
export const comparisonKinds = ["audit", "escalation", "label"] as const;

/** What became of something sent from the outbox. */
const deliveryOutcomes = ["sent", "postponed", "rejected"] as const;

/** What the last time is kept of. */
export const lastKinds = ["query", "escalation", "audit", "below", "failure"] as const;

/** Buckets of the confidence histogram, each of 5 % (version 2 of Groundlight's). */
export const confidenceBuckets = 20;

/** Upper bounds of the latency histograms, ms; a last bucket has what took longer. */
const latencyBoundsMs = [
  1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1_000, 2_000, 5_000, 10_000, 30_000,
] as const;

const latencyBuckets = latencyBoundsMs.length + 1;
const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

const fixedNames: readonly string[] = [
  "queries",
  "queued",
  "failed",
  "below",
  ...answerers.map((each) => `answered.${each}`),
  ...escalationReasons.map((each) => `escalation.${each}`),
  ...withheldReasons.map((each) => `withheld.${each}`),
  ...comparisonKinds.flatMap((each) => [`agreed.${each}`, `differed.${each}`]),
  ...deliveryOutcomes.map((each) => `delivery.${each}`),
  ...upTo(confidenceBuckets).map((each) => `confidence.${each}`),
  ...upTo(latencyBuckets).map((each) => `latency.${each}`),
  ...upTo(latencyBuckets).map((each) => `local.${each}`),
  // Offsets into the hour, ms: sums in the store, so what is added is the way from the one before.
  ...lastKinds.map((each) => `last.${each}`),
];

const placeOfName: ReadonlyMap<string, number> = new Map(fixedNames.map((name, place) => [name, place]));
const lastPlaces = placeOf("last.query");

/** Names beside the fixed ones that a slot keeps apart; of further ones there is none. */
const maxNamed = 300;

/** Place of a fixed name. Throws for another one: a mistake in the program. */
export function placeOf(name: string): number {
  const place = placeOfName.get(name);
  if (place === undefined) throw new Error(`${name} is not counted`);
  return place;
}

/** Bucket of a confidence of 0 to 1. */
export function confidenceBucket(confidence: number): number {
  return Math.min(confidenceBuckets - 1, Math.max(0, Math.floor(confidence * confidenceBuckets)));
}

/** Bucket of a duration in ms. */
export function latencyBucket(ms: number): number {
  let bucket = 0;
  while (bucket < latencyBoundsMs.length && ms > (latencyBoundsMs[bucket] ?? Infinity)) bucket += 1;
  return bucket;
}

/** Counts of an hour, or of what was not written yet. */
export class Counters {
  readonly #fixed = new Float64Array(fixedNames.length);
  readonly #named = new Map<string, number>();

  /** Adds to the counter at a place of `placeOf`. */
  add(place: number, value = 1): void {
    this.#fixed[place] = (this.#fixed[place] ?? 0) + value;
  }

  /** Adds to a counter by any name. Beyond the bound a new name that is not fixed is left out. */
  addNamed(name: string, value = 1): void {
    const place = placeOfName.get(name);
    if (place !== undefined) return this.add(place, value);
    const known = this.#named.get(name);
    if (known !== undefined || this.#named.size < maxNamed) this.#named.set(name, (known ?? 0) + value);
    return undefined;
  }

  /** Value by name; 0 for one that was not counted. */
  get(name: string): number {
    const place = placeOfName.get(name);
    return place === undefined ? (this.#named.get(name) ?? 0) : (this.#fixed[place] ?? 0);
  }

  /** Values of `prefix.0` up to `count`. */
  series(prefix: string, count: number): number[] {
    const first = placeOf(`${prefix}.0`);
    return [...this.#fixed.subarray(first, first + count)];
  }

  /** What was counted under names that begin with `prefix.`, fixed ones aside, by the rest of the name. */
  named(prefix: string): Record<string, number> {
    const beginning = `${prefix}.`;
    const found = [...this.#named].filter(([name]) => name.startsWith(beginning));
    return Object.fromEntries(found.map(([name, value]) => [name.slice(beginning.length), value]));
  }

  /** Adds all of another one's counts; times are not counts and stay as they are. */
  merge(other: Counters): void {
    this.mergeFixed(other);
    for (const [name, value] of other.#named) this.addNamed(name, value);
  }

  /** Adds another one's counts at fixed places only: cheap, for sums over many. */
  mergeFixed(other: Counters): void {
    for (let place = 0; place < lastPlaces; place += 1) this.add(place, other.#fixed[place]);
  }

  /** What is not 0, by name. */
  toRecord(): Record<string, number> {
    const record: Record<string, number> = {};
    for (const [place, name] of fixedNames.entries()) {
      const value = this.#fixed[place] ?? 0;
      if (value !== 0) record[name] = value;
    }
    for (const [name, value] of this.#named) record[name] = value;
    return record;
  }
}

/**
 * The duration in ms below which a share of those in a latency histogram lies, taken as evenly spread within a bucket;
 * undefined without any. What took longer than the last bound counts as that bound.
 */
export function quantileMs(buckets: readonly number[], share: number): number | undefined {
  const total = buckets.reduce((sum, count) => sum + count, 0);
  if (total === 0) return undefined;
  let left = share * total;
  for (const [bucket, count] of buckets.entries()) {
    if (count > 0 && left <= count) {
      const low = latencyBoundsMs[bucket - 1] ?? 0;
      const high = latencyBoundsMs[bucket] ?? low;
      return low + (high - low) * (left / count);
    }
    left -= count;
  }
  return latencyBoundsMs.at(-1);
}

/** Buckets of a latency histogram: `latency` from receipt to answer, `local` of the model. */
export function latencyOf(counters: Counters, which: "latency" | "local"): number[] {
  return counters.series(which, latencyBuckets);
}
