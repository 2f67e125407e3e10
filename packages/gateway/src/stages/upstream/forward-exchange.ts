/** One forwarded request from its decision to the end of its answer. */
import type { ForwardDecision, HttpEndpoint } from "../../contracts/http-endpoint.ts";
import type { Scheduling } from "../../contracts/scheduling.ts";
import type { Exchange, ResponseSink } from "../../contracts/sink.ts";
import type { CancelReason } from "../../core/cancellation.ts";
import { failure, isFailure, type Failure } from "../../core/errors.ts";
import type { HeaderList } from "../../core/headers.ts";
import type { Outcome } from "../../core/outcome.ts";
import { answerHeaders } from "./answer-headers.ts";
import type { AttemptEnd } from "./attempt-end.ts";
import { ForwardAttempt, type AttemptContext, type AttemptOwner } from "./forward-attempt.ts";

/** What all exchanges share. */
export interface ExchangeContext extends AttemptContext {
  readonly scheduling: Scheduling;
}

/** The attempt or attempts of one request, and the way of the answer to the caller. */
export class ForwardExchange implements Exchange, AttemptOwner {
  readonly #context: ExchangeContext;
  readonly #decision: ForwardDecision;
  readonly #sink: ResponseSink;
  /** The attempt that runs, or the one that was committed to. */
  #attempt: ForwardAttempt | undefined;
  #attempts = 0;
  #done = false;

  constructor(context: ExchangeContext, decision: ForwardDecision, sink: ResponseSink) {
    this.#context = context;
    this.#decision = decision;
    this.#sink = sink;
  }

  /** Begins. A request that was called off after its decision is not sent. */
  start(): void {
    const { reason } = this.#decision.request.cancellation;
    if (reason === undefined) this.#launch(this.#decision.endpoints[0]);
    else this.cancel();
  }

  resume(): void {
    this.#attempt?.resume();
  }

  cancel(_reason?: CancelReason): void {
    if (this.#done) return;
    const attempt = this.#attempt;
    attempt?.abandon();
    this.#settle(attempt?.result("cancelled") ?? notSent, "client_gone");
  }

  committed(attempt: ForwardAttempt): void {
    const { answer } = attempt;
    this.#sink.head(answer.status, this.#headersOf(attempt, answer.headers));
    let takesMore = true;
    for (const piece of answer.take()) takesMore = this.#sink.data(piece);
    if (!takesMore) attempt.pause();
  }

  passed(chunk: Uint8Array): boolean {
    return this.#done || this.#sink.data(chunk);
  }

  completed(attempt: ForwardAttempt): void {
    const { answer } = attempt;
    this.#settle(attempt.result("ok"), "ok");
    if (answer.isOpen) return this.#sink.end();
    const { status, headers } = answer;
    this.#sink.whole({ status, headers: this.#headersOf(attempt, headers), body: answer.take() });
  }

  failed(attempt: ForwardAttempt, end: AttemptEnd, told: boolean): void {
    this.#settle(attempt.result(end.kind, end.retryAfterMs), end.failure.code);
    if (told) return this.#sink.end();
    if (attempt.answer.isOpen) return this.#sink.fail(end.failure);
    this.#refuse(attempt, end);
  }

  #launch(endpoint: HttpEndpoint): void {
    const { request, route } = this.#decision;
    const { payload } = request;
    const target = endpoint.targetFor(route.model);
    if (target === undefined) return this.#give(failure("model_not_found"));
    this.#attempts++;
    const attempt = new ForwardAttempt(this.#context, this, endpoint, {
      timeouts: route.pool.timeouts,
      payload,
    });
    this.#attempt = attempt;
    const wire = payload.attempt(target, attempt.answer);
    if (isFailure(wire)) return this.#give(wire);
    attempt.start(wire);
  }

  /** Nothing was sent. */
  #give(reason: Failure): void {
    this.#settle(notSent, reason.code);
    this.#sink.fail(reason);
  }

  /** The last word to a caller who has seen nothing of an answer. */
  #refuse(attempt: ForwardAttempt, { failure: reason, refused }: AttemptEnd): void {
    if (refused === undefined || hidesCredentials(refused.status)) return this.#sink.fail(reason);
    const answer = attempt.writeRefusal(refused);
    if (answer === undefined) return this.#sink.fail(reason);
    this.#sink.whole({ ...answer, headers: this.#headersOf(attempt, answer.headers) });
  }

  #headersOf(attempt: ForwardAttempt, headers: HeaderList): HeaderList {
    return answerHeaders(headers, { endpoint: attempt.endpoint.id, attempts: this.#attempts });
  }

  #settle(result: ReturnType<ForwardAttempt["result"]>, outcome: Outcome): void {
    this.#done = true;
    const { lease } = this.#decision;
    lease.finish(result);
    lease.settle(outcome);
  }
}

/** The server's refusal is of the pool's credentials, which are none of the caller's business. */
function hidesCredentials(status: number): boolean {
  return status === 401 || status === 403;
}

const notSent = {
  kind: "cancelled",
  status: undefined,
  retryAfterMs: undefined,
  firstTokenMs: undefined,
  durationMs: 0,
  usage: undefined,
} as const;
