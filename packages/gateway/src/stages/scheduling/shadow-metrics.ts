/** Series about shadow profiles. */
import type { MetricDefinition } from "../../contracts/telemetry.ts";

/** The families of this module, for the reference page. */
export const shadowMetrics = {
  decisions: {
    name: "spillway_shadow_decisions_total",
    help: "Live scheduling cycles by what the shadow profile made of them: agree, disagree, error (a plugin threw), late (its thread was ended), dropped (it was not told).",
    labels: ["pool", "shadow", "result"],
  },
  margin: {
    name: "spillway_shadow_score_margin",
    help: "Of disagreements: how far the shadow's total for its choice is above its total for the live choice.",
    labels: ["pool", "shadow"],
    buckets: [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10],
  },
  ahead: {
    name: "spillway_shadow_prompt_tokens_ahead_total",
    help: "Prompt tokens to be computed before the first token at the endpoint of the live choice and at that of the shadow's, as known at the decision.",
    labels: ["pool", "shadow", "choice"],
  },
  busy: {
    name: "spillway_shadow_busy_seconds_total",
    help: "Time that the shadow profile computed in its thread.",
    labels: ["pool", "shadow"],
  },
  restarts: {
    name: "spillway_shadow_thread_restarts_total",
    help: "Times the thread of a pool's shadows was started again: late (it was ended since it did not answer), crashed.",
    labels: ["pool", "reason"],
  },
} as const satisfies Record<string, MetricDefinition & { readonly buckets?: readonly number[] }>;
