/** One request of a route that escalates, from its decision to the end of its answer: one place, or one after the other. */
import type { Upstream } from "../../contracts/endpoint.ts";
import type { EscalationTicket, ForwardDecision, ForwardRoute } from "../../contracts/http-endpoint.ts";
import type { Exchange, ResponseSink } from "../../contracts/sink.ts";
import { Cancellation, type CancelReason } from "../../core/cancellation.ts";
import { isFailure, type Failure } from "../../core/errors.ts";
import type { ForwardPayload, TokenUsage } from "../../core/forward.ts";
import type { HeaderList } from "../../core/headers.ts";
import type { PoolEscalationOutcome, PoolEscalationReason } from "../../core/pool-escalation.ts";
import type { InferenceRequest, WireAnswer } from "../../core/request.ts";
import { otherPlace, storyHeaders, withStory, type EscalationParts } from "./escalating-scheduling.ts";
import { Leg, type LegOwner, type Place } from "./leg.ts";
import { JudgingPayload, judgesAnswers } from "./judging-payload.ts";
import type { MuteModels } from "./mute-models.ts";
import { reasonOfFailure, reasonOfStatus } from "./reasons.ts";
import { takeLeave } from "./escalation-budget.ts";

/** What all exchanges share. */
export interface EscalatingContext extends EscalationParts {
  /** Carries one decision; knows nothing of escalation. */
  readonly upstream: Upstream<ForwardDecision>;
  /** Models that refuse to tell log-probabilities. */
  readonly mute: MuteModels;
}

/** What a place gave in the end: its answer, or why there is none. */
type Given = WireAnswer | Failure;

/**
 * Asks one place, and the other where the first has no answer or no good one, as long as nothing was passed on. An
 * answer of the first place is kept until the other has one.
 */
export class EscalatingExchange implements Exchange, LegOwner {
  readonly #context: EscalatingContext;
  readonly #decision: ForwardDecision;
  readonly #ticket: EscalationTicket;
  readonly #sink: ResponseSink;
  /** Of everything that is asked here; the request's own is the door's. */
  readonly #cancellation = new Cancellation();
  readonly #legs: Leg[] = [];
  /** What the first place gave, while the other is asked; and the other way round. */
  #kept: { readonly given: Given; readonly isGood: boolean } | undefined;
  /** Of the first place's answer; undefined where it is not judged. */
  #judge: JudgingPayload | undefined;
  /** The first place is asked without fields of ours. */
  #isPlain = false;
  #done = false;

  constructor(
    context: EscalatingContext,
    { decision, ticket }: { readonly decision: ForwardDecision; readonly ticket: EscalationTicket },
    sink: ResponseSink,
  ) {
    this.#context = context;
    this.#decision = decision;
    this.#ticket = ticket;
    this.#sink = sink;
  }

  start(): void {
    const decision = this.#decision;
    const { reason } = decision.request.cancellation;
    if (reason !== undefined) this.#cancellation.cancel(reason);
    this.#carry(decision, decision.route.escalate === undefined ? "cloud" : "edge");
  }

  resume(): void {
    this.#legs.at(-1)?.resume();
  }

  cancel(reason: CancelReason): void {
    if (this.#done) return;
    this.#legs.at(-1)?.cancel();
    this.#end("client_gone");
    // Last: what waits in a line says that it has left it, to nobody.
    this.#cancellation.cancel(reason);
  }

  answered(leg: Leg, answer: WireAnswer): void {
    if (this.#done) return;
    const { place } = leg;
    const { when } = this.#ticket.rule;
    const isGood = leg.isGood && answer.status < 400;
    if (place === "cloud") return isGood ? this.#give(place, answer, isGood) : this.#lacking(leg, answer);
    const judge = this.#judge;
    if (isGood) {
      this.#noteAsked();
      const verdict = judge?.verdict();
      return verdict === undefined ? this.#give(place, answer, isGood) : this.#lacking(leg, answer, verdict);
    }
    if (isRefusedField(answer.status) && judge?.hasAdded === true) return this.#askPlainly();
    this.#lacking(leg, answer, reasonOfStatus(answer.status, when));
  }

  failed(leg: Leg, failed: Failure): void {
    if (this.#done) return;
    const reason = leg.place === "cloud" ? undefined : reasonOfFailure(failed, this.#ticket.here);
    this.#lacking(leg, failed, reason);
  }

  opened(leg: Leg, headers: HeaderList): HeaderList {
    return this.#headers(leg.place, headers);
  }

  ending(leg: Leg): void {
    const outcome = leg.place === "cloud" ? "answered" : "kept";
    this.#end(leg.isGood ? outcome : "failed");
  }

  /** The server may not know the fields that were added: it is asked once more without them. */
  #askPlainly(): void {
    this.#isPlain = true;
    this.#ask(this.#ticket.here, "edge");
  }

  /** What it answers only without them, it is not asked again. */
  #noteAsked(): void {
    if (this.#isPlain) this.#context.mute.add(this.#ticket.here);
  }

  /** The payload for the first place, judged where the route has reasons that come from the answer. */
  #payloadFor(place: Place): ForwardPayload {
    const { payload } = this.#decision.request;
    const { rule, here, story } = this.#ticket;
    this.#judge = undefined;
    const isWanted = place === "edge" && judgesAnswers(rule.when) && payload.repeatable;
    const isHeld = !payload.stream || rule.holdback === "answer";
    // Nothing comes of a judgement where it cannot go elsewhere, or comes from there.
    if (!isWanted || !isHeld || this.#kept !== undefined || story.reason !== undefined) return payload;
    if (story.withheld !== undefined) return payload;
    const asks = !this.#isPlain && !this.#context.mute.has(here);
    this.#judge = new JudgingPayload(payload, { when: rule.when, asks });
    return this.#judge;
  }

  /** A place has no answer, or none to give. `reason`: why the other one is asked for it; undefined: it is not. */
  #lacking(leg: Pick<Leg, "place" | "isGood">, given: Given, reason?: PoolEscalationReason): void {
    const { place } = leg;
    const kept = this.#kept;
    // Both were asked: what the first place said is what the caller asked for.
    if (kept !== undefined) return place === "edge" ? this.#give(place, given, false) : this.#giveKept(kept);
    const isGood = leg.isGood && !isFailure(given) && given.status < 400;
    this.#kept = { given, isGood };
    if (place === "cloud") return this.#back();
    if (reason === undefined || !this.#mayLeave(reason)) return this.#give(place, given, isGood);
    const { rule } = this.#ticket;
    const there = otherPlace(this.#context, rule);
    if (there !== undefined) return this.#ask(there, "cloud");
    this.#context.budgetOf(rule).giveBack();
    this.#giveKept(this.#kept);
  }

  #giveKept({ given, isGood }: { readonly given: Given; readonly isGood: boolean }): void {
    this.#ticket.story.withheld = "cloud_failed";
    this.#give("edge", given, isGood);
  }

  /** The other place failed, and this one was not asked yet. */
  #back(): void {
    const { story, here } = this.#ticket;
    story.withheld = "cloud_failed";
    this.#ask(here, "edge");
  }

  #mayLeave(reason: PoolEscalationReason): boolean {
    const { story, rule } = this.#ticket;
    return takeLeave(story, reason, this.#context.budgetOf(rule));
  }

  #ask(route: ForwardRoute, place: Place): void {
    const { scheduling } = this.#context;
    const request = this.#legRequest();
    const done = (verdict: ForwardDecision | Failure): void => {
      if (this.#done) {
        if (!isFailure(verdict)) verdict.lease.settle("client_gone");
      } else if (isFailure(verdict)) this.#unplaced(place, verdict);
      else this.#carry(verdict, place);
    };
    const verdict = scheduling.decide(route, request);
    if (verdict === undefined) scheduling.wait(route, request, done);
    else done(verdict);
  }

  #unplaced(place: Place, reason: Failure): void {
    this.#lacking({ place, isGood: false }, reason);
  }

  #carry(decision: ForwardDecision, place: Place): void {
    const { rule } = this.#ticket;
    const request = { ...this.#legRequest(), payload: this.#payloadFor(place) };
    // While there is an answer in hand, a stream that may yet break is not begun.
    const isHeld = this.#judge !== undefined || this.#kept?.isGood === true;
    const carried = { ...decision, request, escalation: this.#ticket };
    const leg = new Leg(this, this.#sink, carried, { place, maxHeldBytes: isHeld ? rule.maxHeldBytes : 0 });
    this.#legs.push(leg);
    leg.start(this.#context.upstream, carried);
  }

  /** Each place counts on a request of its own. */
  #legRequest(): InferenceRequest<ForwardPayload> {
    return { ...this.#decision.request, cancellation: this.#cancellation };
  }

  /** The last word. */
  #give(place: Place, given: Given, isGood: boolean): void {
    const { story } = this.#ticket;
    const good = place === "cloud" ? "answered" : "kept";
    this.#end(isGood ? good : "failed");
    if (isFailure(given)) return this.#sink.fail(withStory(given, story));
    this.#sink.whole({ ...given, headers: this.#headers(place, given.headers) });
  }

  #headers(place: Place, headers: HeaderList): HeaderList {
    return [...headers, ["x-spillway-answered-by", place], ...storyHeaders(this.#ticket.story)];
  }

  /** Once: what was used is told to the door, what became of it counted. */
  #end(outcome: PoolEscalationOutcome): void {
    if (this.#done) return;
    this.#done = true;
    const { story, rule } = this.#ticket;
    if (story.reason !== undefined) {
      if (story.outcome !== "withheld") story.outcome = outcome;
      this.#context.count(rule.route, story);
    }
    const usage = sum(this.#legs.map(({ request }) => request.usage));
    if (usage !== undefined) this.#decision.request.usage = usage;
  }
}

/** Statuses of servers that do not take a field. */
function isRefusedField(status: number): boolean {
  return status === 400 || status === 422;
}

/** Of all places in sum: each wants to be paid. */
function sum(usages: readonly (TokenUsage | undefined)[]): TokenUsage | undefined {
  const known = usages.filter((usage) => usage !== undefined);
  if (known.length < 2) return known[0];
  return {
    promptTokens: known.reduce((all, { promptTokens }) => all + promptTokens, 0),
    cachedTokens: known.reduce((all, { cachedTokens }) => all + cachedTokens, 0),
    completionTokens: known.reduce((all, { completionTokens }) => all + completionTokens, 0),
    estimated: known.some(({ estimated }) => estimated),
  };
}
