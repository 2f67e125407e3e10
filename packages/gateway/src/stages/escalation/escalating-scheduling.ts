/** Where a request of a route that escalates goes first: reasons that are known before anything answers. */
import type { EscalationRule, EscalationStory } from "../../contracts/escalation.ts";
import type { ForwardCatalog, ForwardDecision, ForwardRoute } from "../../contracts/http-endpoint.ts";
import type { Scheduling } from "../../contracts/scheduling.ts";
import type { Clock } from "../../core/clock.ts";
import { isFailure, type Failure } from "../../core/errors.ts";
import type { ForwardPayload } from "../../core/forward.ts";
import type { HeaderList } from "../../core/headers.ts";
import type { PoolEscalationReason, PoolWithheldReason } from "../../core/pool-escalation.ts";
import type { InferenceRequest } from "../../core/request.ts";
import type { EscalationBudget } from "./escalation-budget.ts";
import type { CountEscalation } from "./escalation-metrics.ts";
import { canEscalate, readWish, type Wish } from "./read-wishes.ts";
import { reasonOfFailure } from "./reasons.ts";

/** What all requests of routes that escalate share. */
export interface EscalationParts {
  readonly clock: Clock;
  readonly catalog: Pick<ForwardCatalog, "pools">;
  /** Of one place; knows nothing of escalation. */
  readonly scheduling: Scheduling;
  readonly budgetOf: (rule: EscalationRule) => EscalationBudget;
  readonly count: CountEscalation;
}

type Done = (result: ForwardDecision | Failure) => void;

/** Wraps a scheduling stage and is one. Routes that do not escalate go through untouched. */
export function createEscalatingScheduling(parts: EscalationParts): Scheduling {
  const { scheduling } = parts;
  return {
    decide(route, request) {
      const { escalate } = route;
      if (escalate === undefined || !canEscalate(request)) return scheduling.decide(route, request);
      const wish = readWish(escalate, request);
      if (typeof wish !== "string") return wish;
      if (wish === "always") return undefined;
      const decision = scheduling.decide(route, request);
      // What cannot be decided here at once is for `wait`, which asks again.
      if (decision === undefined || isFailure(decision)) return undefined;
      return { ...decision, escalation: { story: newStory(wish), rule: escalate, here: route } };
    },
    wait(route, request, done) {
      const { escalate } = route;
      if (escalate === undefined || !canEscalate(request)) return scheduling.wait(route, request, done);
      const wish = readWish(escalate, request);
      if (typeof wish !== "string") return done(wish);
      new Placing(parts, { route, rule: escalate, request, done, story: newStory(wish) }).start(wish);
    },
    another: (route, tried, decision) => scheduling.another(route, tried, decision),
  };
}

/** Privacy and the caller's wish are told only where there was a reason to go. */
function newStory(wish: Wish): EscalationStory {
  const withheld = wish === "privacy" || wish === "caller" ? wish : undefined;
  return { reason: undefined, withheld, outcome: undefined, legs: [] };
}

/** The other place of a route; undefined while its pool is not there. */
export function otherPlace({ catalog }: EscalationParts, { to }: EscalationRule): ForwardRoute | undefined {
  const pool = catalog.pools().find(({ name }) => name === to.pool);
  return pool && { pool, model: to.model };
}

interface Placed {
  readonly route: ForwardRoute;
  readonly rule: EscalationRule;
  readonly request: InferenceRequest<ForwardPayload>;
  readonly story: EscalationStory;
  readonly done: Done;
}

/** Finds a place for one request: here, or at the other place where there is a reason and leave to go. */
class Placing {
  readonly #parts: EscalationParts;
  readonly #placed: Placed;
  /** Why it got no place here. */
  #refused: Failure | undefined;

  constructor(parts: EscalationParts, placed: Placed) {
    this.#parts = parts;
    this.#placed = placed;
  }

  start(wish: Wish): void {
    if (wish !== "always") return this.#here();
    const held = this.#leave("asked");
    if (held) this.#here();
  }

  /** In line here for as long as the rule lets it wait. */
  #here(): void {
    const { route, rule, request, story } = this.#placed;
    const { overloadAfterMs } = rule.when;
    const mayLeave = story.withheld === undefined && this.#parts.budgetOf(rule).isOpen;
    const deadline =
      mayLeave && overloadAfterMs !== undefined
        ? Math.min(request.deadline, this.#parts.clock.now() + overloadAfterMs)
        : request.deadline;
    this.#ask(route, deadline, (result) => {
      if (!isFailure(result)) return this.#grant(result);
      this.#refused = result;
      const reason = this.#isOver(result) ? undefined : reasonOfFailure(result, route);
      if (reason === undefined) return this.#refuse(result);
      const isBounded = result.code === "queue_timeout" && deadline < request.deadline;
      if (!this.#leave(reason)) return;
      // The budget was spent while it waited.
      if (isBounded) this.#toTheEnd();
      else this.#refuse(result);
    });
  }

  /** In line here until its deadline. */
  #toTheEnd(): void {
    const { route, request } = this.#placed;
    this.#ask(route, request.deadline, (result) =>
      isFailure(result) ? this.#refuse(result) : this.#grant(result),
    );
  }

  /** True where it may not go: it is to stay. */
  #leave(reason: PoolEscalationReason): boolean {
    const { rule, request, story } = this.#placed;
    story.reason = reason;
    const budget = this.#parts.budgetOf(rule);
    if (story.withheld === undefined && !budget.take()) story.withheld = "budget";
    if (story.withheld !== undefined) {
      story.outcome = "withheld";
      return true;
    }
    const there = otherPlace(this.#parts, rule);
    if (there === undefined) {
      budget.giveBack();
      this.#stay();
      return false;
    }
    this.#ask(there, request.deadline, (result) => {
      if (!isFailure(result)) return this.#grant(result);
      budget.giveBack();
      if (this.#isOver(result)) this.#refuse(this.#refused ?? result);
      else this.#stay();
    });
    return false;
  }

  /** The other place cannot be asked. */
  #stay(): void {
    const { story } = this.#placed;
    story.withheld = "cloud_failed";
    story.outcome = "kept";
    this.#toTheEnd();
  }

  /** It has left, or nothing more may be waited for. */
  #isOver({ code }: Failure): boolean {
    const { request } = this.#placed;
    return code === "client_gone" || request.deadline <= this.#parts.clock.now();
  }

  #ask(route: ForwardRoute, deadline: number, done: Done): void {
    const { request } = this.#placed;
    const { scheduling } = this.#parts;
    const verdict = scheduling.decide(route, request);
    if (verdict !== undefined) return done(verdict);
    scheduling.wait(route, { ...request, deadline }, done);
  }

  #grant(decision: ForwardDecision): void {
    const { request, story, rule, route, done } = this.#placed;
    done({ ...decision, request, escalation: { story, rule, here: route } });
  }

  #refuse(reason: Failure): void {
    const { rule, story, done } = this.#placed;
    if (story.reason !== undefined) {
      if (story.outcome !== "withheld")
        story.outcome = reason.code === "client_gone" ? "client_gone" : "failed";
      this.#parts.count(rule.route, story);
    }
    done(withStory(reason, story));
  }
}

const why: Readonly<Record<PoolWithheldReason, string>> = {
  privacy: "its privacy tag keeps the request from being answered elsewhere",
  budget: "the budget for answers from elsewhere is spent",
  caller: "the caller asked for it not to be answered elsewhere",
  cloud_failed: "the place it would have been answered instead failed too",
};

/** Says why it was not answered elsewhere. */
export function withStory(reason: Failure, story: EscalationStory): Failure {
  if (story.reason === undefined) return reason;
  const headers: HeaderList = [...(reason.headers ?? []), ...storyHeaders(story)];
  if (story.withheld === undefined) return { ...reason, headers };
  return { ...reason, message: `${reason.message}; ${why[story.withheld]}`, headers };
}

/** `x-spillway-escalation` and `x-spillway-withheld`, where there is something to say. */
export function storyHeaders({ reason, withheld }: EscalationStory): HeaderList {
  if (reason === undefined) return [];
  const told: [name: string, value: string][] = [["x-spillway-escalation", reason]];
  if (withheld !== undefined) told.push(["x-spillway-withheld", withheld]);
  return told;
}
