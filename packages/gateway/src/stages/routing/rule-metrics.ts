/** Series about the rules of the routing layer. */
import type { MetricDefinition, MetricHistogram, Metrics, MetricValue } from "../../contracts/telemetry.ts";
import type { RuleTrace } from "../../core/rule-trace.ts";

/** The families of this module, for the reference page. */
export const ruleMetrics = {
  results: {
    name: "spillway_rule_results_total",
    help: "Requests that a routing rule looked at, by what it did: passed, changed, refused; failed and late count by its onFailure.",
    labels: ["rule", "result"],
  },
  duration: {
    name: "spillway_rule_duration_seconds",
    help: "Time that a routing rule took for a request, calls elsewhere included.",
    labels: ["rule"],
    buckets: [0.00001, 0.0001, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
  },
} as const satisfies Record<string, MetricDefinition & { readonly buckets?: readonly number[] }>;

/** Counts what rules do. Their names are configured, so their number is bounded. */
export interface RuleMeters {
  ended(rule: string, result: RuleTrace["result"], tookMs: number): void;
}

interface Meter {
  readonly results: Partial<Record<RuleTrace["result"], MetricValue>>;
  readonly duration: MetricHistogram;
}

/** Makes the meters. */
export function createRuleMeters(metrics: Metrics): RuleMeters {
  const results = metrics.counter(ruleMetrics.results);
  const durations = metrics.histogram(ruleMetrics.duration);
  const meters = new Map<string, Meter>();
  return {
    ended(rule, result, tookMs) {
      let meter = meters.get(rule);
      if (meter === undefined) meters.set(rule, (meter = { results: {}, duration: durations.with(rule) }));
      const counter = (meter.results[result] ??= results.with(rule, result));
      counter.value++;
      meter.duration.observe(tookMs / 1_000);
    },
  };
}
