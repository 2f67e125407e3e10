/** The last image queries and why each was or was not sent to the cloud. */
import type { AgreementObservation, QueryObservation } from "../../contracts/edge-observer.ts";
import type { Finding } from "../../core/detector.ts";

/** Image queries that are kept. */
export const maxRecent = 200;

const maxEarly = 32;

/** What came back for a query that both answered. */
export interface RecentComparison {
  readonly finding: Finding;
  readonly confidence: number | null;
  readonly agreed: boolean;
  readonly kind: AgreementObservation["kind"];
}

/** One image query, newest first in lists. */
export interface RecentQuery {
  readonly observation: QueryObservation;
  comparison: RecentComparison | undefined;
}

/** A ring of the last ones. */
export class RecentQueries {
  readonly #ring: RecentQuery[] = [];
  /** Of queries that have not been added: the cloud's answer is compared before its caller gets it. */
  readonly #early = new Map<string, RecentComparison>();
  #next = 0;

  /** Takes one in, the oldest goes. */
  add(observation: QueryObservation): void {
    const entry: RecentQuery = { observation, comparison: this.#early.get(observation.queryId) };
    if (this.#ring.length < maxRecent) this.#ring.push(entry);
    else this.#ring[this.#next] = entry;
    this.#next = (this.#next + 1) % maxRecent;
  }

  /** Puts older ones, newest first, before all that came since the start. Only where there is room. */
  restore(older: readonly RecentQuery[]): void {
    const present = this.list();
    const known = new Set(present.map(({ observation }) => observation.queryId));
    const missing = older
      .filter(({ observation }) => !known.has(observation.queryId))
      .slice(0, maxRecent - present.length);
    this.#ring.splice(0, this.#ring.length, ...[...present, ...missing].reverse());
    this.#next = this.#ring.length % maxRecent;
  }

  /** Notes what the cloud said of one that is still kept, or is about to be added. */
  compared({ queryId, cloud, agreed, kind }: AgreementObservation): void {
    const entry = this.#ring.find(({ observation }) => observation.queryId === queryId);
    const comparison = { ...cloud, agreed, kind };
    if (entry !== undefined) entry.comparison = comparison;
    else this.#early.set(queryId, comparison);
    for (const oldest of this.#early.keys()) if (this.#early.size > maxEarly) this.#early.delete(oldest);
  }

  /** All of them, newest first. */
  list(): RecentQuery[] {
    return [...this.#ring.slice(0, this.#next).reverse(), ...this.#ring.slice(this.#next).reverse()];
  }
}
