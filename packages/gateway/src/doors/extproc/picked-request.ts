/** A request that has its server, from there to its end: where its load is, and what became of it. */
import type { AttemptResult, ForwardLease, HttpEndpoint } from "../../contracts/http-endpoint.ts";
import type { Clock } from "../../core/clock.ts";
import type { TokenUsage } from "../../core/forward.ts";
import type { Outcome } from "../../core/outcome.ts";

/** What one is made from. */
export interface PickedOptions {
  readonly clock: Clock;
  readonly lease: ForwardLease;
  /** The server that holds the lease's place. */
  readonly endpoint: HttpEndpoint;
  /** Where Envoy may have gone instead. */
  readonly pool: { readonly endpoints: readonly HttpEndpoint[] };
}

/** Its load moves with what Envoy says, and is given back exactly once. */
export class PickedRequest {
  readonly #options: PickedOptions;
  readonly #startedAt: number;
  #endpoint: HttpEndpoint;
  #firstTokenMs: number | undefined;
  #status: number | undefined;
  #retryAfterMs: number | undefined;
  #ended = false;

  constructor(options: PickedOptions) {
    this.#options = options;
    this.#endpoint = options.endpoint;
    this.#startedAt = options.clock.now();
  }

  /** The server that has the request now. */
  get endpoint(): HttpEndpoint {
    return this.#endpoint;
  }

  /** HTTP status of the answer; undefined before it came. */
  get status(): number | undefined {
    return this.#status;
  }

  /** Envoy went to another of the pool's servers than the first: the load goes with it. Unknown addresses change nothing. */
  served(address: string): void {
    if (this.#ended || address === this.#endpoint.address) return;
    const { lease, pool } = this.#options;
    const other = pool.endpoints.find((endpoint) => endpoint.address === address);
    if (other === undefined) return;
    lease.release(this.#endpoint, this.#result("cancelled", undefined));
    lease.acquire(other);
    this.#endpoint = other;
  }

  /** The head of the answer is here. */
  answered(status: number, retryAfterMs: number | undefined): void {
    this.#status = status;
    this.#retryAfterMs = retryAfterMs;
  }

  /** The first piece of the answer is here. Later calls do nothing. */
  firstToken(): void {
    if (this.#firstTokenMs !== undefined) return;
    this.#firstTokenMs = this.#options.clock.now() - this.#startedAt;
    this.#options.lease.firstToken?.(this.#endpoint);
  }

  /** The answer is complete. */
  completed(usage: TokenUsage | undefined): void {
    const isRefused = this.#status !== undefined && this.#status >= 400;
    this.#end(isRefused ? "refused" : "ok", isRefused ? "model_failed" : "ok", usage);
  }

  /** Nobody waits for the answer any more. */
  calledOff(usage: TokenUsage | undefined): void {
    this.#end("cancelled", "client_gone", usage);
  }

  #end(kind: AttemptResult["kind"], outcome: Outcome, usage: TokenUsage | undefined): void {
    if (this.#ended) return;
    this.#ended = true;
    const { lease } = this.#options;
    lease.release(this.#endpoint, this.#result(kind, usage));
    lease.settle(outcome);
  }

  #result(kind: AttemptResult["kind"], usage: TokenUsage | undefined): AttemptResult {
    return {
      kind,
      status: this.#status,
      retryAfterMs: this.#retryAfterMs,
      firstTokenMs: this.#firstTokenMs,
      durationMs: this.#options.clock.now() - this.#startedAt,
      usage,
    };
  }
}
