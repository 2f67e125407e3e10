/** How the cloud has been, by what became of the calls to it. */
import type { CloudFailure, CloudHealth } from "../../contracts/cloud.ts";
import type { Clock } from "../../core/clock.ts";

/** Failures in a row after which the cloud counts as away; one that made no connection is enough. */
const failuresInRow = 2;

/** Statuses that proxies answer for a server that is away. */
const awayStatuses: readonly (number | undefined)[] = [502, 503, 504];

/** Turns outcomes of calls into a state. A call that its caller left says nothing. */
export class CloudWatch {
  readonly #clock: Clock;
  readonly #listeners: ((health: CloudHealth, before: CloudHealth) => void)[] = [];
  #health: CloudHealth;
  #failures = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#health = { state: "unknown", since: clock.wallNow(), reason: "" };
  }

  get health(): CloudHealth {
    return this.#health;
  }

  /** `before`: how it was until now, and since when. */
  listen(listener: (health: CloudHealth, before: CloudHealth) => void): void {
    this.#listeners.push(listener);
  }

  /** An answer of the cloud itself, good or bad. */
  answered(): void {
    this.#failures = 0;
    this.#become("reachable", "");
  }

  /** No answer, or none of the cloud's. */
  failed(failure: CloudFailure): void {
    if (!isAway(failure)) return this.answered();
    this.#failures += 1;
    if (failure.kind === "unreachable" || this.#failures >= failuresInRow)
      this.#become("unreachable", failure.detail);
  }

  #become(state: CloudHealth["state"], reason: string): void {
    const before = this.#health;
    const isNew = state !== before.state;
    if (!isNew && reason === before.reason) return;
    this.#health = { state, since: isNew ? this.#clock.wallNow() : before.since, reason };
    if (isNew) for (const listener of this.#listeners) listener(this.#health, before);
  }
}

/** A page of HTML with a good status is a captive portal's or a proxy's. */
function isAway({ kind, status }: CloudFailure): boolean {
  if (kind === "unreachable" || kind === "timeout" || kind === "unreadable") return true;
  return kind === "unavailable" && awayStatuses.includes(status);
}
