/** One request of a model that escalates, from its decision to its answer: one model, or one after the other. */
import type { ModelDecision } from "../../contracts/endpoint.ts";
import type { Exchange, ResponseSink } from "../../contracts/sink.ts";
import { Cancellation, type CancelReason } from "../../core/cancellation.ts";
import { isFailure, toFailure, type Failure } from "../../core/errors.ts";
import type { HeaderList } from "../../core/headers.ts";
import type { PoolEscalationOutcome, PoolEscalationReason } from "../../core/pool-escalation.ts";
import type { WireAnswer } from "../../core/request.ts";
import type { SpentMemory } from "../../core/wire-answer.ts";
import { storyHeaders, withStory } from "./escalating-scheduling.ts";
import { otherRequest, type ModelContext, type ModelTicket } from "./model-ticket.ts";
import { reasonOfModelFailure } from "./reasons.ts";
import { takeLeave } from "./escalation-budget.ts";

/** Models answer whole: an answer is judged before anything of it is passed on. */
export class ModelExchange implements Exchange, ResponseSink {
  readonly #context: ModelContext;
  readonly #ticket: ModelTicket;
  readonly #sink: ResponseSink;
  readonly #cancellation = new Cancellation();
  #isElsewhere: boolean;
  /** What the first model said, while the other is asked. */
  #kept: { readonly answer: WireAnswer | Failure; readonly spent: SpentMemory | undefined } | undefined;
  #exchange: Exchange | undefined;
  #done = false;

  constructor(context: ModelContext, ticket: ModelTicket, sink: ResponseSink) {
    this.#context = context;
    this.#ticket = ticket;
    this.#sink = sink;
    this.#isElsewhere = ticket.isElsewhere;
  }

  carry(decision: ModelDecision): void {
    this.#exchange = decision.endpoints[0].upstream.carry(decision, this);
  }

  resume(): void {
    this.#exchange?.resume();
  }

  cancel(reason: CancelReason): void {
    if (this.#done) return;
    this.#exchange?.cancel(reason);
    this.#end("client_gone");
    this.#cancellation.cancel(reason);
  }

  whole(answer: WireAnswer, spent?: SpentMemory): void {
    if (this.#done) return;
    if (this.#isElsewhere) return this.#give({ answer, spent }, "answered");
    const { verdict } = this.#ticket.judge;
    if (verdict === undefined || !this.#mayLeave(verdict)) return this.#give({ answer, spent }, "kept");
    this.#kept = { answer, spent };
    void this.#askOther();
  }

  head(status: number, headers: HeaderList): void {
    this.#sink.head(status, this.#headers(headers));
  }

  data(chunk: Uint8Array): boolean {
    return this.#sink.data(chunk);
  }

  end(): void {
    this.#end(this.#isElsewhere ? "answered" : "kept");
    this.#sink.end();
  }

  fail(reason: Failure): void {
    if (this.#done) return;
    if (this.#isElsewhere) return this.#failedElsewhere(reason);
    const why = reasonOfModelFailure(reason, this.#ticket.rule.when);
    if (why === undefined || !this.#mayLeave(why))
      return this.#give({ answer: reason, spent: undefined }, "failed");
    this.#kept = { answer: reason, spent: undefined };
    void this.#askOther();
  }

  /** The first model's word where there is one, else the other's. */
  #failedElsewhere(reason: Failure): void {
    const kept = this.#kept ?? { answer: reason, spent: undefined };
    if (this.#kept !== undefined) this.#isElsewhere = false;
    this.#ticket.story.withheld = "cloud_failed";
    this.#give(kept, isFailure(kept.answer) ? "failed" : "kept");
  }

  #mayLeave(reason: PoolEscalationReason): boolean {
    const { story, rule } = this.#ticket;
    return takeLeave(story, reason, this.#context.budgetOf(rule));
  }

  async #askOther(): Promise<void> {
    this.#isElsewhere = true;
    const { request, rule } = this.#ticket;
    const asked = { ...otherRequest(request, rule), cancellation: this.#cancellation };
    const verdict = await this.#decide(asked);
    if (isFailure(verdict)) {
      if (!this.#done) this.#failedElsewhere(verdict);
    } else {
      this.carry(verdict);
      if (this.#done) this.#exchange?.cancel("client_gone");
    }
  }

  /** What a dialect did not foresee ends as a failure. */
  async #decide(asked: ModelTicket["request"]): Promise<ModelDecision | Failure> {
    try {
      return await this.#context.decide(asked);
    } catch (error) {
      return toFailure(error);
    }
  }

  #give(
    { answer, spent }: { readonly answer: WireAnswer | Failure; readonly spent: SpentMemory | undefined },
    outcome: PoolEscalationOutcome,
  ): void {
    this.#end(outcome);
    if (isFailure(answer)) return this.#sink.fail(withStory(answer, this.#ticket.story));
    this.#sink.whole({ ...answer, headers: this.#headers(answer.headers) }, spent);
  }

  #headers(headers: HeaderList): HeaderList {
    const place = this.#isElsewhere ? "cloud" : "edge";
    return [...headers, ["x-spillway-answered-by", place], ...storyHeaders(this.#ticket.story)];
  }

  #end(outcome: PoolEscalationOutcome): void {
    if (this.#done) return;
    this.#done = true;
    const { story, rule } = this.#ticket;
    if (story.reason === undefined) return;
    if (story.outcome !== "withheld") story.outcome = outcome;
    this.#context.count(rule.route, story);
  }
}
