/** One image query from its receipt to its answer: runs what `decide` says. */
import { isCloudFailure, isTemporary, type CloudFailure } from "../contracts/cloud.ts";
import type { QueryObservation } from "../contracts/edge-observer.ts";
import type { StoredQuery } from "../contracts/edge-store.ts";
import { Cancellation } from "../core/cancellation.ts";
import { failure, isFailure, type ErrorCode, type Failure } from "../core/errors.ts";
import type { EscalationReason, ImageQuery, LocalAnswer, QueryResult } from "../core/detector.ts";
import type { WireAnswer } from "../core/wire-answer.ts";
import { jsonAnswer } from "../dialects/json-answer.ts";
import {
  decide,
  decideAfterFailure,
  refuseEarly,
  type LocalOutcome,
  type Refusal,
  type Verdict,
} from "./decide.ts";
import { monthOf } from "./detectors/budget.ts";
import type { ReadyDetector } from "./detectors/registry.ts";
import { localOutcomeOf, refusalOf } from "./query-outcomes.ts";
import type { QueryCall, QueryDeps } from "./query-deps.ts";
import { cloudTokenOf, escalationOf, submissionOf } from "./query-escalation.ts";
import {
  agreementOf,
  imageQueryOf,
  observationOf,
  storedQueryOf,
  type Ending,
  type QueryFacts,
} from "./query-record.ts";
import { writeQueryAnswer } from "./write-query-answer.ts";

/** Used once. */
export class QueryRun {
  readonly #deps: QueryDeps;
  readonly #call: QueryCall;
  readonly #known: ReadyDetector;
  readonly #id: string;
  readonly #createdAt: number;
  #threshold: number;
  #local: LocalAnswer | undefined;
  #localFailure: Failure | undefined;
  #localMs = 0;
  #isSpent = false;
  /** The caller has been told that the answer comes later. */
  #isPromised = false;

  constructor(deps: QueryDeps, call: QueryCall, known: ReadyDetector) {
    this.#deps = deps;
    // Who gets the answer later has left.
    this.#call = call.submission.wantAsync ? { ...call, cancellation: new Cancellation() } : call;
    this.#known = known;
    this.#id = call.submission.imageQueryId ?? call.queryId ?? deps.nextId();
    this.#createdAt = call.promisedAt ?? deps.clock.wallNow();
    this.#threshold = call.submission.confidenceThreshold ?? known.detector.confidenceThreshold;
  }

  /** The answer for a caller who waits. */
  async now(): Promise<WireAnswer | Failure> {
    const early = refuseEarly(this.#early());
    if (early !== undefined) return this.#refuse(early);
    const outcome = await this.#askLocal();
    if (this.#call.cancellation.reason !== undefined) return this.#failed(failure("client_gone"));
    return this.#act(decide(this.#situation(outcome)));
  }

  /** Promises an answer: query and picture are on the disk when the caller hears so. */
  async later(): Promise<WireAnswer | Failure> {
    const early = refuseEarly(this.#early());
    if (early !== undefined) return this.#refuse(early);
    const { submission, picture, mediaType } = this.#call;
    const { store, later } = this.#deps;
    if (!later.hasRoom(picture.byteLength))
      return this.#failed(failure("overloaded", "Too many image queries wait for their answer", 1_000));
    const query = imageQueryOf(this.#facts, promised);
    const { humanReview, inspectionId, metadata } = submission;
    store.keepQuery(storedQueryOf(this.#facts, query, promised, { humanReview, inspectionId, metadata }));
    const refused = await store.keepPicture(this.#id, { bytes: picture, mediaType });
    if (refused !== undefined) return this.#failed(refused);
    this.finishLater();
    return writeQueryAnswer(query, { ...promised, escalation: undefined, local: undefined, localMs: 0 });
  }

  /** Answers what was promised, when its turn comes. */
  finishLater(): void {
    this.#deps.later.add({ bytes: this.#call.picture.byteLength, run: () => this.#finish() });
  }

  async #finish(): Promise<void> {
    this.#isPromised = true;
    try {
      const outcome = await this.#askLocal();
      await this.#act(decide(this.#situation(outcome)));
    } catch (error) {
      this.#logError("edge_query_failed", error);
    }
  }

  #act(verdict: Verdict): Promise<WireAnswer | Failure> | WireAnswer | Failure {
    switch (verdict.kind) {
      case "answer":
        return this.#give(verdict);
      case "ask":
        return this.#ask(verdict.reason);
      case "queue":
        return this.#queueUnanswered(verdict.reason, undefined);
      case "refuse":
        return this.#refuse(verdict.why);
    }
  }

  #early() {
    const { cloud } = this.#deps;
    const state = cloud === undefined ? "none" : cloud.health().state;
    return {
      policy: this.#known.policy,
      humanReview: this.#call.submission.humanReview,
      cloud: state === "unknown" ? "reachable" : state,
    } as const;
  }

  #situation(local: LocalOutcome) {
    const { budget, settings, random, clock } = this.#deps;
    const { policy, auditRate = settings.auditRate } = this.#known;
    const now = clock.wallNow();
    const month = monthOf(now);
    return {
      ...this.#early(),
      local,
      threshold: this.#threshold,
      wantAsync: this.#call.submission.wantAsync,
      cooledDown: now - this.#known.budget.lastAt >= policy.minTimeBetweenEscalationsMs,
      withinBudget: budget.hasRoom(month) && this.#known.budget.hasRoom(month),
      drawnForAudit: auditRate > 0 && random.unit() < auditRate,
    };
  }

  async #askLocal(): Promise<LocalOutcome> {
    const { policy, model, detector, localTimeoutMs } = this.#known;
    if (!policy.enabled) return { kind: "not_asked" };
    if (model === undefined) {
      this.#localFailure = failure(
        "model_unavailable",
        `No model is here for the detector ${this.#known.id}`,
      );
      return { kind: "none" };
    }
    const { clock, local, calibrate } = this.#deps;
    const { picture, mediaType, caller, requestId, cancellation } = this.#call;
    const startedAt = clock.now();
    const answer = await local.infer({
      detector,
      model,
      picture,
      mediaType,
      caller,
      requestId,
      timeoutMs: localTimeoutMs,
      cancellation,
    });
    this.#localMs = clock.now() - startedAt;
    if (isFailure(answer)) {
      this.#localFailure = answer;
      return localOutcomeOf(answer);
    }
    const { confidence, threshold } = calibrate(this.#known, answer);
    this.#local = { ...answer, confidence };
    this.#threshold = this.#call.submission.confidenceThreshold ?? threshold ?? this.#threshold;
    return { kind: "answer", confidence: this.#local.confidence };
  }

  /** The edge's own answer, and what goes to the cloud behind it. */
  async #give({ queue, done, withheld }: Verdict & { kind: "answer" }): Promise<WireAnswer> {
    if (queue === undefined) {
      return this.#end({ ...this.#localEnding(done), escalation: undefined, withheld });
    }
    const ending: Ending = {
      ...this.#localEnding(done),
      escalation: { reason: queue, how: "queued" },
      withheld,
    };
    const query = imageQueryOf(this.#facts, ending);
    const enqueued = this.#enqueue(queue, storedQueryOf(this.#facts, query, ending));
    // A sure answer promises nothing: it does not wait for the disk.
    if (queue === "audit") return this.#tell(query, ending);
    const refused = await enqueued;
    if (refused === undefined) return this.#tell(query, ending);
    return this.#end({ ...this.#localEnding(true), escalation: undefined, withheld: "queue_full" });
  }

  #localEnding(done: boolean): Pick<Ending, "answeredBy" | "result" | "done"> {
    const local = this.#local;
    if (local === undefined) throw new TypeError("a local answer is given that is not there");
    const { finding, confidence } = local;
    const result: QueryResult = { finding, confidence, source: "ALGORITHM", fromEdge: true };
    return { answeredBy: this.#isLater ? "later" : "edge", result, done };
  }

  /** The cloud's answer, or the best that is to be had without. */
  async #ask(reason: EscalationReason): Promise<WireAnswer | Failure> {
    const { cloud, clock, cloudTimeoutMs } = this.#deps;
    if (cloud === undefined) return this.#refuse("local");
    const { receivedAt, cancellation, requestId } = this.#call;
    this.#spend();
    const elapsed = clock.now() - receivedAt;
    const answer = await cloud.submit(submissionOf(this.#facts, this.#call), {
      timeoutMs: Math.max(minCloudMs, cloudTimeoutMs - elapsed),
      cancellation,
      token: cloudTokenOf(this.#facts, this.#call, this.#deps),
      requestId,
    });
    cancellation.listen(undefined);
    if (cancellation.reason !== undefined) return this.#failed(failure("client_gone"));
    return isCloudFailure(answer) ? this.#withoutCloud(answer, reason) : this.#fromCloud(answer, reason);
  }

  #fromCloud(answer: ImageQuery, reason: EscalationReason): WireAnswer {
    const ending: Ending = {
      answeredBy: "cloud",
      result: answer.result,
      done: answer.doneProcessing,
      escalation: { reason, how: "asked" },
      withheld: undefined,
    };
    const { picture, mediaType } = this.#call;
    this.#deps.store.keepQuery(storedQueryOf(this.#facts, answer, ending));
    void this.#deps.store.keepPicture(answer.id, { bytes: picture, mediaType });
    const agreement = agreementOf(this.#facts, answer.result, reason);
    if (agreement !== undefined) this.#deps.observer.compared(agreement);
    return this.#tell(answer, ending);
  }

  /** The cloud was asked and did not answer. */
  #withoutCloud(problem: CloudFailure, reason: EscalationReason): Promise<WireAnswer | Failure> | WireAnswer {
    const then = decideAfterFailure({
      hasAnswer: this.#local !== undefined,
      isTemporary: isTemporary(problem),
      isUnreachable: problem.kind === "unreachable" || problem.kind === "timeout",
    });
    this.#deps.logger.debug("edge_cloud_failed", {
      queryId: this.#id,
      kind: problem.kind,
      detail: problem.detail,
    });
    switch (then.kind) {
      case "answer":
        return this.#give({
          kind: "answer",
          queue: then.queue ? reason : undefined,
          done: !then.queue,
          withheld: then.withheld,
        });
      case "queue":
        return this.#queueUnanswered(reason, problem);
      case "relay":
        this.#observe(
          this.#facts,
          { answeredBy: "none", escalation: { reason, how: "asked" }, withheld: "cloud_failed" },
          "bad_upstream_answer",
        );
        return jsonAnswer(problem.status ?? 502, { detail: problem.detail });
    }
  }

  /** Nobody has an answer now: the cloud gets it, and the caller asks for the answer later. */
  async #queueUnanswered(
    reason: EscalationReason,
    problem: CloudFailure | undefined,
  ): Promise<WireAnswer | Failure> {
    const ending: Ending = {
      answeredBy: "later",
      result: null,
      done: false,
      escalation: { reason, how: "queued" },
      withheld: problem === undefined ? undefined : "cloud_failed",
    };
    const query = imageQueryOf(this.#facts, ending);
    const refused = await this.#enqueue(reason, storedQueryOf(this.#facts, query, ending));
    if (refused === undefined) return this.#tell(query, ending);
    const why = problem === undefined ? "" : `The cloud did not answer (${problem.detail}), and `;
    return this.#failed({ ...refused, message: `${why}the query cannot be kept for it: ${refused.message}` });
  }

  /** Hands the picture to the outbox; the failure where it does not take it. */
  async #enqueue(reason: EscalationReason, query: StoredQuery): Promise<Failure | undefined> {
    this.#spend(reason === "audit" ? undefined : this.#createdAt);
    const escalation = escalationOf(this.#facts, this.#call, { reason, query });
    const enqueued = await this.#deps.store.outbox.enqueue(escalation);
    if (typeof enqueued === "string") return undefined;
    this.#deps.logger.warn("edge_escalation_not_kept", { queryId: this.#id, error: enqueued.message });
    return enqueued;
  }

  /** Counts against the budgets, once. `lastAt`: and begins the pause. */
  #spend(lastAt?: number): void {
    if (this.#isSpent) return;
    this.#isSpent = true;
    const { budget, store, clock } = this.#deps;
    const period = monthOf(clock.wallNow());
    const own = this.#known.budget;
    budget.spend(period);
    own.spend(period);
    if (lastAt !== undefined) own.lastAt = lastAt;
    // The store forgets what was long ago: it is told when this was, whether or not a pause begins.
    const at = this.#createdAt;
    void store.spend({ detectorId: this.#known.detector.id, period, escalations: 1, lastAt: at });
  }

  /** Tells an answer that promises nothing, and keeps it. A caller who waits does not wait for that: the answer is written first. */
  #end(ending: Ending): WireAnswer {
    const facts = this.#facts;
    const query = imageQueryOf(facts, ending);
    if (this.#isLater) this.#keep(facts, query, ending);
    else setImmediate(() => this.#keep(facts, query, ending));
    return this.#written(query, ending);
  }

  #keep(facts: QueryFacts, query: ImageQuery, ending: Ending): void {
    const { picture, mediaType } = this.#call;
    const { store } = this.#deps;
    try {
      store.keepQuery(storedQueryOf(facts, query, ending));
      if (!this.#isLater) store.offerPicture(query.id, { bytes: picture, mediaType });
      this.#observe(facts, ending, this.#localFailure?.code);
    } catch (error) {
      this.#logError("edge_query_not_kept", error);
    }
  }

  #logError(event: string, error: unknown): void {
    const text = error instanceof Error ? error.stack : String(error);
    this.#deps.logger.error(event, { queryId: this.#id, error: text });
  }

  #tell(query: ImageQuery, ending: Ending): WireAnswer {
    this.#observe(this.#facts, ending, this.#localFailure?.code);
    return this.#written(query, ending);
  }

  #written(query: ImageQuery, ending: Ending): WireAnswer {
    const { answeredBy, escalation, withheld } = ending;
    return writeQueryAnswer(query, {
      answeredBy,
      escalation: escalation?.reason,
      withheld,
      local: this.#local,
      localMs: this.#localMs,
    });
  }

  get #isLater(): boolean {
    return this.#call.submission.wantAsync;
  }

  #refuse(why: Refusal): Failure {
    if (this.#isPromised) {
      const query = imageQueryOf(this.#facts, { result: null, done: true });
      this.#deps.store.keepQuery(storedQueryOf(this.#facts, query, { ...promised, done: true }));
    }
    return this.#failed(refusalOf(why, { known: this.#known, localFailure: this.#localFailure }));
  }

  #failed(reason: Failure): Failure {
    const ended = { answeredBy: "none", escalation: undefined, withheld: undefined } as const;
    this.#observe(this.#facts, ended, reason.code);
    return reason;
  }

  #observe(
    facts: QueryFacts,
    ended: Pick<QueryObservation, "answeredBy" | "escalation" | "withheld">,
    code?: ErrorCode,
  ): void {
    const { latencyMs } = facts;
    this.#deps.observer.answered(observationOf(facts, { ...ended, failure: code, latencyMs }));
  }

  get #facts(): QueryFacts {
    return {
      id: this.#id,
      createdAt: this.#createdAt,
      known: this.#known,
      submission: this.#call.submission,
      threshold: this.#threshold,
      local: this.#local,
      localMs: this.#localMs,
      latencyMs: this.#deps.clock.now() - this.#call.receivedAt,
    };
  }
}

/** An answer that comes later. */
const promised: Ending = {
  answeredBy: "later",
  result: null,
  done: false,
  escalation: undefined,
  withheld: undefined,
};

/** The cloud gets at least so long, however long the local model took, ms. */
const minCloudMs = 1_000;
