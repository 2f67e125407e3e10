/** A lease that keeps what it was settled with. */
import type { AttemptResult, ForwardLease, HttpEndpoint } from "../../contracts/http-endpoint.ts";
import type { Outcome } from "../../core/outcome.ts";

/** Passes everything on. */
export class NotedLease implements ForwardLease {
  readonly #lease: ForwardLease;
  /** Undefined until it is settled. */
  outcome: Outcome | undefined;

  constructor(lease: ForwardLease) {
    this.#lease = lease;
  }

  get enqueuedAt(): number {
    return this.#lease.enqueuedAt;
  }

  get grantedAt(): number {
    return this.#lease.grantedAt;
  }

  acquire(endpoint: HttpEndpoint): void {
    this.#lease.acquire(endpoint);
  }

  release(endpoint: HttpEndpoint, result: AttemptResult): void {
    this.#lease.release(endpoint, result);
  }

  settle(outcome: Outcome): void {
    this.outcome ??= outcome;
    this.#lease.settle(outcome);
  }
}
