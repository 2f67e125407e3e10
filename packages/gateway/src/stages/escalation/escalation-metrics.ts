/** Series about escalations. */
import type { EscalationStory } from "../../contracts/escalation.ts";
import type { MetricDefinition, Metrics } from "../../contracts/telemetry.ts";

/** The families of this module, for the reference page. */
export const escalationMetrics = {
  escalations: {
    name: "spillway_escalations_total",
    help: "Requests that had a reason to go to the place that their route escalates to, by how it ended: answered there; kept, since that place failed; failed at both; withheld by privacy, budget or the caller; client_gone.",
    labels: ["route", "reason", "outcome"],
  },
} as const satisfies Record<string, MetricDefinition>;

/** Counts a request that has ended, where it had a reason. */
export type CountEscalation = (route: string, story: EscalationStory) => void;

/** Routes, reasons and outcomes are all configured or closed, so their number is bounded. */
export function createEscalationCounter(metrics: Metrics): CountEscalation {
  const family = metrics.counter(escalationMetrics.escalations);
  return (route, { reason, outcome }) => {
    if (reason !== undefined && outcome !== undefined) family.with(route, reason, outcome).value++;
  };
}
