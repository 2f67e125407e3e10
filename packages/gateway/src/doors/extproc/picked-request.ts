/** A request that has its server, from there to its end: where its load is, and what became of it. */
import type {
  AttemptResult,
  ForwardDecision,
  ForwardLease,
  HttpEndpoint,
} from "../../contracts/http-endpoint.ts";
import type { ForwardRecord } from "../../contracts/request-record.ts";
import type { Clock } from "../../core/clock.ts";
import type { TokenUsage } from "../../core/forward.ts";
import type { HeaderList } from "../../core/headers.ts";
import type { Outcome } from "../../core/outcome.ts";
import { rulesHeader } from "../../core/rule-trace.ts";

/** A request that Envoy carried, as it ended. */
export interface CarriedEnd extends ForwardRecord {
  /** The answer's status was good and some of it came. */
  readonly answered: boolean;
}

/** What one is made from. */
export interface PickedOptions {
  readonly clock: Clock;
  readonly lease: ForwardLease;
  /** The server that holds the lease's place. */
  readonly endpoint: HttpEndpoint;
  /** Where Envoy may have gone instead. */
  readonly pool: { readonly endpoints: readonly HttpEndpoint[] };
  /** Absent: nothing was decided, any server would do. */
  readonly decision?: ForwardDecision;
  /** Hears of the end of a request that was decided on. */
  readonly onCarried?: (carried: CarriedEnd) => void;
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
  /** Bytes of a body that passed by; undefined: as many as the request has. */
  requestBytes: number | undefined;
  /** Bytes of the answer as they went to the caller. */
  answerBytes = 0;

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

  /** What plugins add to the head of the answer, a session's token, and what rules did. */
  answerHeaders(): HeaderList {
    const { lease, decision } = this.#options;
    const own = lease.answerHeaders?.(this.#endpoint) ?? [];
    const rules = decision?.request.rules;
    return rules === undefined ? own : [...own, rulesHeader(rules)];
  }

  /** The first piece of the answer is here. Later calls do nothing. */
  firstToken(): void {
    if (this.#firstTokenMs !== undefined) return;
    this.#firstTokenMs = this.#options.clock.now() - this.#startedAt;
    this.#options.lease.firstToken?.(this.#endpoint);
  }

  /** The answer is complete. */
  completed(usage: TokenUsage | undefined): void {
    const status = this.#status ?? 200;
    if (status < 400) this.#end("ok", "ok", usage);
    else this.#end("refused", outcomeOf(status), usage);
  }

  /** Nobody waits for the answer any more. */
  calledOff(usage: TokenUsage | undefined, outcome: Outcome = "client_gone"): void {
    this.#end("cancelled", outcome, usage);
  }

  #end(kind: AttemptResult["kind"], outcome: Outcome, usage: TokenUsage | undefined): void {
    if (this.#ended) return;
    this.#ended = true;
    const { lease } = this.#options;
    lease.release(this.#endpoint, this.#result(kind, usage));
    lease.settle(outcome);
    this.#tell(outcome, usage);
  }

  #tell(outcome: Outcome, usage: TokenUsage | undefined): void {
    const { decision, onCarried, clock } = this.#options;
    if (decision === undefined || onCarried === undefined) return;
    const { request, route, lease, escalation } = decision;
    onCarried({
      request,
      route,
      endpoint: this.#endpoint.id,
      outcome,
      attempts: 1,
      queueMs: lease.grantedAt - lease.enqueuedAt,
      durationMs: clock.now() - this.#startedAt,
      firstTokenMs: this.#firstTokenMs,
      usage,
      requestBytes: this.requestBytes ?? request.payload.bytes,
      responseBytes: this.answerBytes,
      escalation: escalation?.story,
      answered: this.#firstTokenMs !== undefined && (this.#status ?? 500) < 300,
    });
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

/** What a refusal counts as. */
function outcomeOf(status: number): Outcome {
  if (status === 404) return "model_not_found";
  if (status === 429 || status === 503) return "model_unavailable";
  if (status < 500) return "bad_request";
  if (status === 502) return "bad_upstream_answer";
  return status === 504 ? "upstream_timeout" : "model_failed";
}
