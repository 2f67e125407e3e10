/** Escalation of requests with tensors: what one model cannot answer, or is not sure of, another is asked. */
import type { ModelDecision } from "../../contracts/endpoint.ts";
import type { EscalationStory, ModelEscalation, ModelEscalationRule } from "../../contracts/escalation.ts";
import type { ResponseSink, Exchange } from "../../contracts/sink.ts";
import type { Metrics } from "../../contracts/telemetry.ts";
import type { Clock } from "../../core/clock.ts";
import { isFailure, type Failure } from "../../core/errors.ts";
import type { PoolEscalationReason } from "../../core/pool-escalation.ts";
import { withStory } from "./escalating-scheduling.ts";
import { EscalationBudgets, type EscalationBudget } from "./escalation-budget.ts";
import { createEscalationCounter } from "./escalation-metrics.ts";
import { JudgingTensors } from "./judging-tensors.ts";
import { ModelExchange } from "./model-exchange.ts";
import { otherRequest, type ModelContext, type ModelTicket } from "./model-ticket.ts";
import { readWish } from "./read-wishes.ts";
import { reasonOfModelFailure } from "./reasons.ts";

/** Escalation whose rules can change: requests under way keep theirs. */
export interface ConfiguredModelEscalation extends ModelEscalation {
  /** Takes the place of all rules so far. What budgets have counted counts on. */
  configure(rules: readonly ModelEscalationRule[]): void;
}

/** To be made only where some model escalates. */
export function createModelEscalation(
  rules: readonly ModelEscalationRule[],
  { clock, metrics }: { readonly clock: Clock; readonly metrics: Metrics },
): ConfiguredModelEscalation {
  const byRoute = (all: readonly ModelEscalationRule[]): ReadonlyMap<string, ModelEscalationRule> =>
    new Map(all.map((rule) => [rule.route, rule]));
  let byModel = byRoute(rules);
  const budgets = new EscalationBudgets(clock);
  const budgetOf = (rule: ModelEscalationRule): EscalationBudget => budgets.of(rule);
  const count = createEscalationCounter(metrics);
  const tickets = new WeakMap<ModelDecision, { ticket: ModelTicket; context: ModelContext }>();
  return {
    configure: (next) => void (byModel = byRoute(next)),
    decide(request, decide) {
      const rule = request.version === undefined ? byModel.get(request.model) : undefined;
      if (rule === undefined) return decide(request);
      const wish = readWish(rule, request);
      if (typeof wish !== "string") return wish;
      const withheld = wish === "privacy" || wish === "caller" ? wish : undefined;
      const story: EscalationStory = { reason: undefined, withheld, outcome: undefined, legs: [] };
      const context = { clock, decide, budgetOf, count };
      const placing = { rule, story, request, judge: new JudgingTensors(request.payload, rule.when) };
      return place(context, placing, wish === "always").then((placed) => {
        if (isFailure(placed)) return placed;
        tickets.set(placed.decision, { ticket: placed.ticket, context });
        return placed.decision;
      });
    },
    carry(decision: ModelDecision, sink: ResponseSink): Exchange {
      const known = tickets.get(decision);
      if (known === undefined) return decision.endpoints[0].upstream.carry(decision, sink);
      const exchange = new ModelExchange(known.context, known.ticket, sink);
      exchange.carry(decision);
      return exchange;
    },
  };
}

type Placed = { readonly decision: ModelDecision; readonly ticket: ModelTicket } | Failure;

/** Reasons that are known before anything answers. */
async function place(
  context: ModelContext,
  placing: Omit<ModelTicket, "isElsewhere">,
  isAsked: boolean,
): Promise<Placed> {
  const { rule, story, request, judge } = placing;
  if (isAsked) {
    const there = await leave(context, placing, "asked");
    if (there !== undefined) return there;
  }
  const { overloadAfterMs } = rule.when;
  const mayLeave =
    story.reason === undefined && story.withheld === undefined && context.budgetOf(rule).isOpen;
  const bound = mayLeave && overloadAfterMs !== undefined ? context.clock.now() + overloadAfterMs : Infinity;
  const deadline = Math.min(request.deadline, bound);
  const asked = { ...request, payload: judge, deadline };
  const here = await context.decide(asked);
  // Once it has a place, only the caller's own deadline counts.
  asked.deadline = request.deadline;
  if (!isFailure(here)) return { decision: here, ticket: { ...placing, isElsewhere: false } };
  const isOver = here.code === "client_gone" || request.deadline <= context.clock.now();
  const reason = isOver || story.reason !== undefined ? undefined : reasonOfModelFailure(here, rule.when);
  const there = reason && (await leave(context, placing, reason));
  if (there !== undefined) return there;
  return refused(context, placing, here);
}

/** Undefined where it may not leave, or the other model cannot be asked. */
async function leave(
  context: ModelContext,
  placing: Omit<ModelTicket, "isElsewhere">,
  reason: PoolEscalationReason,
): Promise<Placed | undefined> {
  const { rule, story, request } = placing;
  story.reason = reason;
  const budget = context.budgetOf(rule);
  if (story.withheld === undefined && !budget.take()) story.withheld = "budget";
  if (story.withheld !== undefined) {
    story.outcome = "withheld";
    return undefined;
  }
  const there = await context.decide(otherRequest(request, rule));
  if (!isFailure(there)) return { decision: there, ticket: { ...placing, isElsewhere: true } };
  budget.giveBack();
  story.withheld = "cloud_failed";
  return undefined;
}

function refused(
  { count }: ModelContext,
  { rule, story }: Omit<ModelTicket, "isElsewhere">,
  reason: Failure,
): Failure {
  if (story.reason !== undefined) {
    if (story.outcome !== "withheld")
      story.outcome = reason.code === "client_gone" ? "client_gone" : "failed";
    count(rule.route, story);
  }
  return withStory(reason, story);
}
