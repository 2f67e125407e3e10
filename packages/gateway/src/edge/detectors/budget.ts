/** What a detector, or all of them, may still send to the cloud this month. */

const dayMs = 86_400_000;

/** The month of the day that was asked for last: it is asked for with every query. */
const last = { day: Number.NaN, month: "" };

/** Such as `2026-01`, UTC. */
export function monthOf(epochMs: number): string {
  const day = Math.floor(epochMs / dayMs);
  if (day !== last.day) {
    last.month = new Date(epochMs).toISOString().slice(0, 7);
    last.day = day;
  }
  return last.month;
}

/** Counts escalations and audits of a calendar month. */
export class Budget {
  readonly #bound: number;
  #month = "";
  #spent = 0;
  /** When something last went behind an answer, ms since the Unix epoch; 0: never. */
  lastAt = 0;

  /** `bound` undefined: none. */
  constructor(bound: number | undefined) {
    this.#bound = bound ?? Infinity;
  }

  /** In the month of `now`. */
  spentAt(month: string): number {
    return this.#month === month ? this.#spent : 0;
  }

  /** True while one more may go. */
  hasRoom(month: string): boolean {
    return this.spentAt(month) < this.#bound;
  }

  /** One more goes. */
  spend(month: string): void {
    this.restore(month, this.spentAt(month) + 1);
  }

  /** So many have gone. */
  restore(month: string, spent: number): void {
    this.#month = month;
    this.#spent = spent;
  }
}
