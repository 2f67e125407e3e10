/** The last image queries and why each was or was not sent to the cloud. */
import type { AgreementObservation, QueryObservation } from "../../contracts/edge-observer.ts";
import type { Finding } from "../../core/detector.ts";

/** Image queries that are kept. */
export const maxRecent = 200;

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
  #next = 0;

  /** Takes one in, the oldest goes. */
  add(observation: QueryObservation): void {
    const entry: RecentQuery = { observation, comparison: undefined };
    if (this.#ring.length < maxRecent) this.#ring.push(entry);
    else this.#ring[this.#next] = entry;
    this.#next = (this.#next + 1) % maxRecent;
  }

  /** Puts older ones, newest first, before all that came since the start. Only where there is room. */
  restore(older: readonly QueryObservation[]): void {
    const present = this.list();
    const known = new Set(present.map(({ observation }) => observation.queryId));
    const missing = older
      .filter(({ queryId }) => !known.has(queryId))
      .slice(0, maxRecent - present.length)
      .map((observation) => ({ observation, comparison: undefined }));
    this.#ring.splice(0, this.#ring.length, ...[...present, ...missing].reverse());
    this.#next = this.#ring.length % maxRecent;
  }

  /** Notes what the cloud said of one that is still kept. */
  compared({ queryId, cloud, agreed, kind }: AgreementObservation): void {
    const entry = this.#ring.find(({ observation }) => observation.queryId === queryId);
    if (entry !== undefined) entry.comparison = { ...cloud, agreed, kind };
  }

  /** All of them, newest first. */
  list(): RecentQuery[] {
    return [...this.#ring.slice(0, this.#next).reverse(), ...this.#ring.slice(this.#next).reverse()];
  }
}
