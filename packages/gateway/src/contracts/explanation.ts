/** How scheduling came to its choice, for people: told by the admin API and beside disagreements of shadows. */

/** An endpoint of a cycle: what was known of it then, and what it came to. */
export interface ExplainedEndpoint {
  readonly endpoint: string;
  /** What its server had told last; undefined: nothing that is still true. */
  readonly waiting: number | undefined;
  readonly running: number | undefined;
  readonly kvUsage: number | undefined;
  /** Requests that this gateway had on their way there. */
  readonly underWay: number;
  /** Name of the filter that took it out; undefined: none. */
  readonly filteredBy: string | undefined;
  /** By scorer, 0 to 1, not weighted; empty where a filter took it out. */
  readonly scores: Readonly<Record<string, number>>;
  /** Weighted sum of the scores. */
  readonly total: number | undefined;
}

/** One profile's run. */
export interface ExplainedProfile {
  readonly profile: string;
  readonly scorers: readonly { readonly name: string; readonly weight: number }[];
  /** Best first, those that were filtered out last. */
  readonly endpoints: readonly ExplainedEndpoint[];
  /** What it picked, best first. */
  readonly picked: readonly string[];
  /** How far the total of the first picked is above that of the best other; negative where chance decided otherwise; undefined where there was no other. */
  readonly margin: number | undefined;
}

/** One cycle: a request has a further one for each further attempt. */
export interface ExplainedCycle {
  readonly pool: string;
  readonly model: string;
  /** Milliseconds since the Unix epoch. */
  readonly at: number;
  readonly profiles: readonly ExplainedProfile[];
  /** The endpoints that the request was given, best first; empty: it was refused. */
  readonly chosen: readonly string[];
}

/** What is kept of the last decisions. */
export interface Explanations {
  /** The cycles of a request, in their order; empty where none is kept, or no more. */
  cyclesOf(id: string): readonly ExplainedCycle[];
}

/** Where nothing is kept. */
export const noExplanations: Explanations = { cyclesOf: () => [] };
