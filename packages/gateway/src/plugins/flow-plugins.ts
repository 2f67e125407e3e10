/** The plugins of flow control that come with Spillway. */
import type { PluginDefinition } from "../contracts/plugins/plugin.ts";
import {
  priorityThenTimeEvictionOrderPolicy,
  sheddableEvictionFilter,
} from "./eviction/sheddable-eviction.ts";
import { deficitRoundRobinFairnessPolicy } from "./fairness/deficit-round-robin-fairness-policy.ts";
import { globalStrictFairnessPolicy } from "./fairness/global-strict-fairness-policy.ts";
import { programAwareFairness } from "./fairness/program-aware-fairness.ts";
import { roundRobinFairnessPolicy } from "./fairness/round-robin-fairness-policy.ts";
import { edfOrderingPolicy } from "./ordering/edf-ordering-policy.ts";
import { fcfsOrderingPolicy } from "./ordering/fcfs-ordering-policy.ts";
import { sloDeadlineOrderingPolicy } from "./ordering/slo-deadline-ordering-policy.ts";
import { concurrencyDetector } from "./saturation/concurrency-detector.ts";
import { utilizationDetector } from "./saturation/utilization-detector.ts";
import { priorityHoldbackPolicy } from "./usage-limits/priority-holdback-policy.ts";
import { scarcityCeilingPolicy } from "./usage-limits/scarcity-ceiling-policy.ts";
import { softReflectiveCeilingPolicy } from "./usage-limits/soft-reflective-ceiling-policy.ts";
import { staticUsageLimitPolicy } from "./usage-limits/static-usage-limit-policy.ts";

/** In the order in which the reference page tells them. */
export const flowPlugins: readonly PluginDefinition[] = [
  globalStrictFairnessPolicy,
  roundRobinFairnessPolicy,
  programAwareFairness,
  deficitRoundRobinFairnessPolicy,
  fcfsOrderingPolicy,
  edfOrderingPolicy,
  sloDeadlineOrderingPolicy,
  utilizationDetector,
  concurrencyDetector,
  staticUsageLimitPolicy,
  priorityHoldbackPolicy,
  softReflectiveCeilingPolicy,
  scarcityCeilingPolicy,
  sheddableEvictionFilter,
  priorityThenTimeEvictionOrderPolicy,
];
