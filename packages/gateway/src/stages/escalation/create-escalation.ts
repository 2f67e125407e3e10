/** The escalation stage: what one place cannot answer, or not well, another is asked for. */
import type { Upstream } from "../../contracts/endpoint.ts";
import type { EscalationRule } from "../../contracts/escalation.ts";
import type { ForwardCatalog, ForwardDecision } from "../../contracts/http-endpoint.ts";
import type { ForwardRecord } from "../../contracts/request-record.ts";
import type { Scheduling } from "../../contracts/scheduling.ts";
import type { Metrics } from "../../contracts/telemetry.ts";
import type { Clock } from "../../core/clock.ts";
import { EscalatingExchange, type EscalatingContext } from "./escalating-exchange.ts";
import { createEscalatingScheduling } from "./escalating-scheduling.ts";
import { EscalationBudgets, type EscalationBudget } from "./escalation-budget.ts";
import { createEscalationCounter } from "./escalation-metrics.ts";
import { MuteModels } from "./mute-models.ts";

/** What the stage needs: the stages that it wraps among them. */
export interface EscalationOptions {
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly catalog: Pick<ForwardCatalog, "pools">;
  readonly scheduling: Scheduling;
  readonly upstream: Upstream<ForwardDecision>;
}

/** The wrapped stages, which stand in the place of those that they wrap. */
export interface Escalation {
  readonly scheduling: Scheduling;
  readonly upstream: Upstream<ForwardDecision>;
}

/** To be made only where some route escalates. */
export function createEscalation({ upstream, metrics, ...parts }: EscalationOptions): Escalation {
  const budgets = new EscalationBudgets(parts.clock);
  const budgetOf = (rule: EscalationRule): EscalationBudget => budgets.of(rule);
  const count = createEscalationCounter(metrics);
  const context: EscalatingContext = { ...parts, upstream, budgetOf, count, mute: new MuteModels() };
  return {
    scheduling: createEscalatingScheduling(context),
    upstream: {
      carry(decision, sink) {
        const { escalation: ticket } = decision;
        if (ticket === undefined) return upstream.carry(decision, sink);
        const exchange = new EscalatingExchange(context, { decision, ticket }, sink);
        exchange.start();
        return exchange;
      },
    },
  };
}

/** Adds a record to the story of its request. */
export function noteLeg({ escalation, route, endpoint, outcome, durationMs, usage }: ForwardRecord): void {
  const { pool, model } = route;
  escalation?.legs.push({ pool: pool.name, endpoint, model, outcome, durationMs, usage });
}
