/** A lease that keeps what it was settled with. */
import type { AttemptResult, ForwardLease, HttpEndpoint } from "../../contracts/http-endpoint.ts";
import type { ScheduledRequest } from "../../contracts/plugins/scheduling.ts";
import type { HeaderList } from "../../core/headers.ts";
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

  get scheduled(): ScheduledRequest | undefined {
    return this.#lease.scheduled;
  }

  firstToken(endpoint: HttpEndpoint): void {
    this.#lease.firstToken?.(endpoint);
  }

  answerHeaders(endpoint: HttpEndpoint): HeaderList {
    return this.#lease.answerHeaders?.(endpoint) ?? [];
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
