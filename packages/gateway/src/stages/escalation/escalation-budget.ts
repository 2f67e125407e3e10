/** How many requests of a route may be escalated. */
import type { EscalateOptions, EscalationStory } from "../../contracts/escalation.ts";
import type { Clock } from "../../core/clock.ts";
import type { PoolEscalationReason } from "../../core/pool-escalation.ts";

const minuteMs = 60_000;

/** Counts in windows: minutes of the monotonic clock, calendar months in UTC. Kept in memory, by this process alone. */
export class EscalationBudget {
  /** May be changed; what was counted counts on. */
  limits: EscalateOptions["budget"];
  readonly #clock: Clock;
  #minute = 0;
  #inMinute = 0;
  #month = 0;
  #inMonth = 0;

  constructor(limits: EscalateOptions["budget"], clock: Clock) {
    this.limits = limits;
    this.#clock = clock;
  }

  /** True while one more may be taken. */
  get isOpen(): boolean {
    this.#turn();
    const { perMinute = Infinity, perMonth = Infinity } = this.limits;
    return this.#inMinute < perMinute && this.#inMonth < perMonth;
  }

  /** False when it is spent. */
  take(): boolean {
    if (!this.isOpen) return false;
    this.#inMinute++;
    this.#inMonth++;
    return true;
  }

  /** Takes back the last one, which was never sent. */
  giveBack(): void {
    if (this.#inMinute > 0) this.#inMinute--;
    if (this.#inMonth > 0) this.#inMonth--;
  }

  #turn(): void {
    const minute = Math.floor(this.#clock.now() / minuteMs);
    if (minute !== this.#minute) this.#inMinute = 0;
    this.#minute = minute;
    if (this.limits.perMonth === undefined) return;
    const date = new Date(this.#clock.wallNow());
    const month = date.getUTCFullYear() * 12 + date.getUTCMonth();
    if (month !== this.#month) this.#inMonth = 0;
    this.#month = month;
  }
}

/** The budgets of all routes. Each goes on with what it has counted, by the limits of whoever asked last. */
export class EscalationBudgets {
  readonly #clock: Clock;
  /** By route: routes are configured, so their number is bounded. */
  readonly #budgets = new Map<string, EscalationBudget>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  of({ route, budget }: { readonly route: string } & Pick<EscalateOptions, "budget">): EscalationBudget {
    const known = this.#budgets.get(route);
    if (known === undefined) {
      const made = new EscalationBudget(budget, this.#clock);
      this.#budgets.set(route, made);
      return made;
    }
    known.limits = budget;
    return known;
  }
}

/**
 * Writes the reason into the request's story, and why it stays all the same where it does. False for one that stays, and
 * for one that has had a reason before: that decision holds.
 */
export function takeLeave(
  story: EscalationStory,
  reason: PoolEscalationReason,
  budget: EscalationBudget,
): boolean {
  if (story.reason !== undefined) return false;
  story.reason = reason;
  if (story.withheld === undefined && !budget.take()) story.withheld = "budget";
  if (story.withheld !== undefined) story.outcome = "withheld";
  return story.withheld === undefined;
}
