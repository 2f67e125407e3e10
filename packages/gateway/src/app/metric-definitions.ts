/** Every metric family there is: the reference page is made from this list. */
import type { MetricDefinition } from "../contracts/telemetry.ts";
import { extProcMetrics } from "../doors/extproc/extproc-metrics.ts";
import { grpcMetrics } from "../doors/grpc/grpc-metrics.ts";
import { httpMetrics } from "../doors/http/http-metrics.ts";
import { edgeForwardMetrics } from "../edge/forward.ts";
import { edgeMetrics } from "../edge/monitor/edge-metrics.ts";
import { endpointMetrics } from "../endpoints/endpoint-metrics.ts";
import { scrapeMetrics } from "../endpoints/metrics/scrape-metrics.ts";
import { scarcityMetrics } from "../endpoints/scarcity/scarcity-metrics.ts";
import { modelRewriteMetrics } from "../plugins/rules/model-rewrite.ts";
import { programMetrics } from "../plugins/fairness/program-aware-fairness.ts";
import { keyMetrics } from "../stages/admission/key-metrics.ts";
import { escalationMetrics } from "../stages/escalation/escalation-metrics.ts";
import { ruleMetrics } from "../stages/routing/rule-metrics.ts";
import { flowMetrics } from "../stages/flowcontrol/flow-metrics.ts";
import { shadowMetrics } from "../stages/scheduling/shadow-metrics.ts";
import { forwardMetrics } from "../stages/upstream/forward-metrics.ts";
import { pickerMetrics } from "../telemetry/picker-metrics.ts";
import { processMetrics } from "../telemetry/process-metrics.ts";
import { modelMetrics } from "../workers/statistics.ts";
import { reloadMetrics } from "./reload-metrics.ts";
import { workerMetrics } from "../workers/worker-metrics.ts";

/** A definition with what only some types have. */
export interface ListedMetric extends MetricDefinition {
  /** Of a histogram. */
  readonly buckets?: readonly number[];
  /** Of a summary. */
  readonly quantiles?: readonly number[];
}

/** All families, those about models first. */
export const metricDefinitions: readonly ListedMetric[] = [
  modelMetrics,
  workerMetrics,
  endpointMetrics,
  scrapeMetrics,
  scarcityMetrics,
  httpMetrics,
  grpcMetrics,
  extProcMetrics,
  keyMetrics,
  ruleMetrics,
  modelRewriteMetrics,
  forwardMetrics,
  flowMetrics,
  programMetrics,
  escalationMetrics,
  pickerMetrics,
  shadowMetrics,
  edgeMetrics,
  edgeForwardMetrics,
  reloadMetrics,
  processMetrics,
].flatMap((family: Readonly<Record<string, ListedMetric>>) => Object.values(family));
