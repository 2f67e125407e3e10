/** One forwarded request from its decision to the end of its answer: its attempts, one after the other or two at once. */
import type { AttemptResult, ForwardDecision, HttpEndpoint } from "../../contracts/http-endpoint.ts";
import type { Exchange, ResponseSink } from "../../contracts/sink.ts";
import type { CancelReason } from "../../core/cancellation.ts";
import type { Timer } from "../../core/clock.ts";
import { evictionFailure } from "../../core/drop-reason.ts";
import { failure, isFailure, toFailure, type Failure } from "../../core/errors.ts";
import type { Attempt, AttemptTarget, TokenUsage } from "../../core/forward.ts";
import type { HeaderList } from "../../core/headers.ts";
import type { Outcome } from "../../core/outcome.ts";
import { answerHeaders } from "./answer-headers.ts";
import type { AttemptEnd } from "./attempt-end.ts";
import type { ExchangeContext } from "./exchange-context.ts";
import { ForwardAttempt, type AttemptOwner } from "./forward-attempt.ts";
import type { CancelPhase, PoolMeter } from "./forward-metrics.ts";
import { planRetry } from "./plan-retry.ts";
import { refusalAnswer } from "./refusal-answer.ts";

/** An attempt that failed, and how. */
interface Failed {
  readonly attempt: ForwardAttempt;
  readonly end: AttemptEnd;
}

/**
 * Owns the attempts of one request, and the way of the answer to the caller. Until an attempt is
 * committed to, a failed one may be followed by another, and a slow one accompanied by a hedge.
 */
export class ForwardExchange implements Exchange, AttemptOwner {
  readonly #context: ExchangeContext;
  readonly #decision: ForwardDecision;
  readonly #sink: ResponseSink;
  readonly #meter: PoolMeter;
  readonly #startedAt: number;
  /** The attempt that runs, or ran last; the one that was committed to. */
  #attempt: ForwardAttempt | undefined;
  /** A second one beside it. */
  #hedge: ForwardAttempt | undefined;
  #attempts = 0;
  /** Bytes of the answer's body that went to the caller. */
  #bytes = 0;
  /** Endpoints of failed attempts. */
  #tried: readonly HttpEndpoint[] = [];
  #failed: Failed | undefined;
  /** A pause between two attempts, or the wait for a hedge. */
  #timer: Timer | undefined;
  #committed = false;
  #done = false;
  /** Flow control has called it off. */
  #isEvicted = false;

  constructor(context: ExchangeContext, decision: ForwardDecision, sink: ResponseSink) {
    this.#context = context;
    this.#decision = decision;
    this.#sink = sink;
    this.#meter = context.meters.of(decision.route);
    this.#startedAt = context.clock.now();
  }

  /** Begins. A request that was called off after its decision is not sent. Does not throw. */
  start(): void {
    if (this.#done) return;
    try {
      this.#begin();
    } catch (error) {
      this.#context.onFault(error);
      if (!this.#done) this.#giveUp(toFailure(error));
    }
  }

  #begin(): void {
    const { clock, budget, hedging } = this.#context;
    const { route, request, lease, endpoints } = this.#decision;
    const now = this.#startedAt;
    this.#meter.queue.observe((lease.grantedAt - lease.enqueuedAt) / 1_000);
    if (request.cancellation.reason === "evicted") return this.#evicted();
    if (request.cancellation.reason !== undefined) return this.cancel(request.cancellation.reason);
    if (route.pool.gate !== undefined) this.#listenForEviction();
    budget.request(now);
    this.#launch(endpoints[0]);
    const slowAfterMs = hedging.slowAfterMs(route, now);
    if (slowAfterMs === undefined || this.#committed || this.#done || !request.payload.repeatable) return;
    this.#timer ??= clock.after(slowAfterMs, () => this.#launchHedge());
  }

  resume(): void {
    this.#attempt?.resume();
  }

  cancel(_reason: CancelReason): void {
    if (this.#done) return;
    this.#meter.cancelled(this.#phase());
    const attempt = this.#attempt;
    attempt?.abandon();
    if (attempt !== undefined) this.#release(attempt, "cancelled");
    this.#dropHedge();
    if (this.#committed) this.#decision.request.usage = this.#usedSoFar();
    this.#settle("client_gone");
  }

  committed(attempt: ForwardAttempt): void {
    const { answer } = attempt;
    this.#win(attempt);
    this.#decision.lease.firstToken?.(attempt.endpoint);
    this.#committed = true;
    this.#meter.streams.value++;
    this.#context.pacer.streamBegan();
    if (answer.overflowed) this.#meter.overflows.value++;
    this.#sink.head(answer.status, this.#headersOf(attempt, answer.headers));
    let takesMore = true;
    for (const piece of answer.take()) takesMore = this.passed(piece);
    if (!takesMore) attempt.pause();
  }

  passed(chunk: Uint8Array): boolean {
    this.#bytes += chunk.length;
    return this.#done || this.#sink.data(chunk);
  }

  ending(): void {
    if (!this.#done) this.#sink.gather?.();
  }

  completed(attempt: ForwardAttempt): void {
    const { answer } = attempt;
    if (!this.#committed) this.#win(attempt);
    const { status, headers, isOpen } = answer;
    const body = isOpen ? [] : answer.take();
    for (const piece of body) this.#bytes += piece.length;
    this.#release(attempt, "ok");
    this.#settle("ok");
    if (isOpen) return this.#sink.end();
    this.#sink.whole({ status, headers: this.#headersOf(attempt, headers), body });
  }

  failed(attempt: ForwardAttempt, end: AttemptEnd, told: boolean): void {
    const { isCallersMistake = false } = end;
    const result = attempt.result(end.kind, end.retryAfterMs);
    this.#decision.lease.release(
      attempt.endpoint,
      isCallersMistake ? { ...result, isCallersMistake } : result,
    );
    if (this.#committed) {
      if (attempt.answer.tokens === undefined) this.#decision.request.usage = this.#usedSoFar();
      this.#settle(end.failure.code);
      return told ? this.#sink.end() : this.#sink.fail(end.failure);
    }
    this.#tried = [...this.#tried, attempt.endpoint];
    this.#failed = { attempt, end };
    if (this.#goesOnWithoutIt(attempt)) return;
    this.#timer?.cancel();
    this.#timer = undefined;
    if (!this.#retry({ attempt, end })) this.#refuse({ attempt, end });
  }

  #listenForEviction(): void {
    this.#decision.request.cancellation.listen((reason) => {
      if (reason === "evicted") this.#evicted();
    });
  }

  /** Flow control wants the place back: the caller is told, and nothing is tried again. */
  #evicted(): void {
    if (this.#done) return;
    const reason = evictionFailure();
    const attempt = this.#attempt;
    this.#dropHedge();
    if (attempt === undefined || attempt.ended) return this.#refuseOutright(reason);
    this.#isEvicted = true;
    attempt.callOff(reason);
  }

  #refuseOutright(reason: Failure): void {
    this.#settle(reason.code);
    this.#sink.fail(reason);
  }

  #create(endpoint: HttpEndpoint): ForwardAttempt {
    this.#attempts++;
    const { request, route } = this.#decision;
    const { timeouts } = route.pool;
    return new ForwardAttempt(this.#context, this, endpoint, { timeouts, payload: request.payload });
  }

  #launch(endpoint: HttpEndpoint): void {
    const { route, request } = this.#decision;
    const target = endpoint.targetFor(route.model);
    if (target === undefined) return this.#giveUp(failure("model_unavailable", undefined, 1_000));
    const waiting = request.payload.prepare(target, request.cancellation);
    if (waiting === undefined) return this.#send(endpoint, target);
    void waiting.then(() => {
      if (this.#done) return;
      if (this.#context.clock.now() < request.deadline) this.#send(endpoint, target);
      else this.#giveUp(failure("queue_timeout"));
    });
  }

  #send(endpoint: HttpEndpoint, target: AttemptTarget): void {
    const attempt = this.#create(endpoint);
    this.#attempt = attempt;
    const wire = this.#write(target, attempt);
    if (isFailure(wire)) return this.#giveUp(wire);
    // Where one kept connection was closed as it was used, others may be.
    const needsNewConnection = this.#failed?.end.kind === "closed";
    attempt.start(needsNewConnection ? { ...wire, needsNewConnection } : wire);
  }

  /** The request for one server. What a dialect did not foresee ends as a failure, so that every place is given back. */
  #write(target: AttemptTarget, { answer }: ForwardAttempt): Attempt | Failure {
    try {
      return this.#decision.request.payload.attempt(target, answer);
    } catch (error) {
      this.#context.onFault(error);
      return toFailure(error);
    }
  }

  /** The request cannot be sent to this endpoint. */
  #giveUp(reason: Failure): void {
    const { attempt, end } = this.#failed ?? {};
    if (attempt !== undefined && end !== undefined) return this.#refuse({ attempt, end });
    this.#refuseOutright(reason);
  }

  /** One of two attempts has failed: the other has the request now. */
  #goesOnWithoutIt(attempt: ForwardAttempt): boolean {
    const hedge = this.#hedge;
    if (hedge === undefined) return false;
    this.#hedge = undefined;
    if (attempt === hedge) this.#meter.hedge("cancelled");
    else this.#attempt = hedge;
    return true;
  }

  /** False where there is no further attempt. */
  #retry({ attempt, end }: Failed): boolean {
    if (this.#isEvicted) return false;
    const made = { end, tried: this.#tried, retries: this.#attempts - 1 };
    const plan = planRetry(this.#context, this.#decision, made);
    if (plan === "exhausted") this.#meter.exhausted.value++;
    if (plan === undefined || plan === "exhausted") return false;
    this.#meter.retried(end.kind);
    const { endpoint, pauseMs } = plan;
    if (pauseMs === 0) this.#again(endpoint);
    else this.#timer = this.#context.clock.after(pauseMs, () => this.#afterPause({ attempt, end }));
    return true;
  }

  #afterPause(failed: Failed): void {
    this.#timer = undefined;
    const next = this.#context.scheduling.another(this.#decision.route, this.#tried, this.#decision);
    // It may have asked others to leave it alone for longer.
    if (next === undefined || (next.pausedUntil ?? 0) > this.#context.clock.now()) this.#refuse(failed);
    else this.#again(next);
  }

  #again(endpoint: HttpEndpoint): void {
    this.#decision.lease.acquire(endpoint);
    this.#attempt = undefined;
    this.#launch(endpoint);
  }

  #launchHedge(): void {
    this.#timer = undefined;
    const { scheduling, hedging, budget, clock } = this.#context;
    const { route, lease, request } = this.#decision;
    const first = this.#attempt;
    const now = clock.now();
    if (first === undefined || first.ended || this.#attempts > 1 || !hedging.mayLaunch(route, now)) return;
    const endpoint = scheduling.another(route, [first.endpoint], this.#decision);
    if (endpoint === undefined || endpoint === first.endpoint || endpoint.pausedUntil !== undefined) return;
    if (endpoint.inFlight >= endpoint.capacity) return;
    const target = endpoint.targetFor(route.model);
    // What would first have to be translated by a thread comes too late.
    if (target === undefined || request.payload.prepare(target, request.cancellation) !== undefined) return;
    if (!budget.draw(now)) return;
    const hedge = this.#create(endpoint);
    const wire = this.#write(target, hedge);
    if (isFailure(wire)) return;
    hedging.launched(route, now);
    this.#meter.hedge("launched");
    lease.acquire(endpoint);
    this.#hedge = hedge;
    hedge.start(wire);
  }

  /** The answer will be this attempt's: a slower one beside it is closed at its server. */
  #win(attempt: ForwardAttempt): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    const { hedging, clock } = this.#context;
    const { route } = this.#decision;
    const firstTokenMs = attempt.firstTokenMs ?? clock.now() - attempt.startedAt;
    this.#meter.model(route.model).firstToken.observe(firstTokenMs / 1_000);
    if (attempt !== this.#hedge) {
      hedging.observe(route, firstTokenMs);
      return this.#dropHedge();
    }
    const slower = this.#attempt;
    this.#attempt = attempt;
    this.#hedge = undefined;
    this.#meter.hedge("won");
    if (slower === undefined) return;
    hedging.observe(route, clock.now() - slower.startedAt);
    slower.abandon();
    this.#release(slower, "cancelled");
  }

  #dropHedge(): void {
    const hedge = this.#hedge;
    if (hedge === undefined) return;
    this.#hedge = undefined;
    this.#meter.hedge("cancelled");
    hedge.abandon();
    this.#release(hedge, "cancelled");
  }

  /** The last word to a caller who has seen nothing of an answer. */
  #refuse({ attempt, end }: Failed): void {
    this.#settle(end.failure.code);
    const answer = refusalAnswer(attempt, end);
    if (answer === undefined) return this.#sink.fail(this.#told(end.failure));
    this.#sink.whole({ ...answer, headers: this.#headersOf(attempt, answer.headers) });
  }

  #told(reason: Failure): Failure {
    if (this.#attempts < 2) return reason;
    return { ...reason, message: `${reason.message} (attempt ${this.#attempts} of ${this.#attempts})` };
  }

  #headersOf(attempt: ForwardAttempt, headers: HeaderList): HeaderList {
    const { lease, route } = this.#decision;
    const marks = lease.answerHeaders?.(attempt.endpoint) ?? [];
    return answerHeaders(marks.length === 0 ? headers : [...headers, ...marks], {
      endpoint: attempt.endpoint.id,
      attempts: this.#attempts,
      model: route.model,
      queueMs: lease.grantedAt - lease.enqueuedAt,
      upstreamMs: this.#context.clock.now() - attempt.startedAt,
      rules: this.#decision.request.rules,
    });
  }

  /** Where the request is, for who counts departures. */
  #phase(): CancelPhase {
    const whole = this.#decision.request.payload.stream ? undefined : "whole";
    if (this.#committed) return whole ?? "stream";
    if (this.#hedge !== undefined) return "hedge";
    const attempt = this.#attempt;
    if (attempt !== undefined && attempt.ended && this.#timer !== undefined) return "backoff";
    return attempt?.sent === true ? (whole ?? "first_token") : "connect";
  }

  /** What was used of an answer that was passed on in part. */
  #usedSoFar(): TokenUsage {
    const { promptTokens } = this.#decision.request.payload.estimate;
    return this.#attempt?.used ?? { promptTokens, cachedTokens: 0, completionTokens: 0, estimated: true };
  }

  #release(attempt: ForwardAttempt, kind: AttemptResult["kind"]): void {
    this.#decision.lease.release(attempt.endpoint, attempt.result(kind));
  }

  #settle(outcome: Outcome): void {
    this.#done = true;
    this.#timer?.cancel();
    this.#timer = undefined;
    const { request, route, lease } = this.#decision;
    const attempt = this.#attempt;
    if (this.#committed) {
      this.#meter.streamEnded(outcome);
      this.#context.pacer.streamEnded();
    }
    const durationMs = this.#context.clock.now() - this.#startedAt;
    const tokens = request.usage ?? attempt?.answer.tokens;
    if (tokens !== undefined) request.usage = tokens;
    const model = this.#meter.model(route.model);
    model.ended(outcome);
    model.duration.observe(durationMs / 1_000);
    if (tokens !== undefined) model.used(tokens);
    if (outcome === "ok" && this.#committed && attempt !== undefined) model.streamed(attempt.result("ok"));
    lease.settle(outcome);
    this.#context.onRecord?.({
      request,
      route,
      endpoint: attempt?.endpoint.id ?? this.#decision.endpoints[0].id,
      outcome,
      attempts: this.#attempts,
      queueMs: lease.grantedAt - lease.enqueuedAt,
      durationMs,
      firstTokenMs: attempt?.firstTokenMs,
      usage: tokens,
      requestBytes: request.payload.bytes,
      responseBytes: this.#bytes,
      escalation: this.#decision.escalation?.story,
    });
  }
}
