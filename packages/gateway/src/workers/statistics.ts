/** What one model version has done: Triton's statistics and the Prometheus series, from the same events. */
import type { CountAndTime, ModelStatistics as StatisticsSnapshot } from "../contracts/models.ts";
import type { MetricDefinition, MetricHistogram, MetricValue, Metrics } from "../contracts/telemetry.ts";
import type { Clock } from "../core/clock.ts";
import type { Outcome } from "../core/outcome.ts";
import type { InstanceAnswer } from "./model-instance.ts";

const secondsBuckets = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
];
const rowsBuckets = [1, 2, 4, 8, 16, 32, 64, 128];

/** The families of this module, for the reference page. */
export const modelMetrics = {
  requests: {
    name: "spillway_model_requests_total",
    help: "Requests by how they ended: ok, or the code of the error they were answered with.",
    labels: ["model", "version", "outcome"],
  },
  requestDuration: {
    name: "spillway_model_request_duration_seconds",
    help: "Time from joining the line to the answer, of requests that got a place.",
    labels: ["model", "version"],
    buckets: secondsBuckets,
  },
  queueDuration: {
    name: "spillway_model_queue_duration_seconds",
    help: "Time spent in line, of requests that got a place.",
    labels: ["model", "version"],
    buckets: secondsBuckets,
  },
  computeDuration: {
    name: "spillway_model_compute_duration_seconds",
    help: "Time of one call in the model's engine, as the worker measures it.",
    labels: ["model", "version"],
    buckets: secondsBuckets,
  },
  batchRows: {
    name: "spillway_model_batch_rows",
    help: "Rows that travelled in one call to an instance.",
    labels: ["model", "version"],
    buckets: rowsBuckets,
  },
  rows: {
    name: "spillway_model_rows_total",
    help: "Rows answered; divided by spillway_model_calls_total it is the mean batch.",
    labels: ["model", "version"],
  },
  calls: {
    name: "spillway_model_calls_total",
    help: "Calls answered by instances.",
    labels: ["model", "version"],
  },
} as const satisfies Record<string, MetricDefinition & { readonly buckets?: readonly number[] }>;

/** A count and a sum of nanoseconds. */
class Tally implements CountAndTime {
  count = 0;
  ns = 0;

  add(ns: number): void {
    this.count++;
    this.ns += ns;
  }
}

/** Counts for one model version; lives as long as the process, over reloads of the version. */
export class ModelStatistics {
  readonly #name: string;
  readonly #version: string;
  readonly #clock: Clock;
  readonly #metrics: Metrics;
  readonly #outcomes = new Map<Outcome, MetricValue>();
  readonly #requestDuration: MetricHistogram;
  readonly #queueDuration: MetricHistogram;
  readonly #computeDuration: MetricHistogram;
  readonly #batchRows: MetricHistogram;
  readonly #rows: MetricValue;
  readonly #calls: MetricValue;
  readonly #success = new Tally();
  readonly #fail = new Tally();
  readonly #queue = new Tally();
  readonly #computeInput = new Tally();
  readonly #computeInfer = new Tally();
  readonly #batches = new Map<number, Tally>();
  #lastInferenceMs = 0;

  constructor(name: string, version: string, context: { clock: Clock; metrics: Metrics }) {
    const { metrics } = context;
    this.#name = name;
    this.#version = version;
    this.#clock = context.clock;
    this.#metrics = metrics;
    this.#requestDuration = metrics.histogram(modelMetrics.requestDuration).with(name, version);
    this.#queueDuration = metrics.histogram(modelMetrics.queueDuration).with(name, version);
    this.#computeDuration = metrics.histogram(modelMetrics.computeDuration).with(name, version);
    this.#batchRows = metrics.histogram(modelMetrics.batchRows).with(name, version);
    this.#rows = metrics.counter(modelMetrics.rows).with(name, version);
    this.#calls = metrics.counter(modelMetrics.calls).with(name, version);
  }

  /** A request that had a place has ended. Times in ms. */
  requestEnded(outcome: Outcome, queueMs: number, totalMs: number): void {
    this.#count(outcome);
    this.#queue.add(queueMs * 1e6);
    (outcome === "ok" ? this.#success : this.#fail).add(totalMs * 1e6);
    this.#queueDuration.observe(queueMs / 1e3);
    this.#requestDuration.observe(totalMs / 1e3);
  }

  /** A request left the line unserved. */
  requestRefused(outcome: Outcome): void {
    this.#count(outcome);
    this.#fail.add(0);
  }

  /** An instance answered a call of so many rows. */
  callEnded(rows: number, answer: Pick<InstanceAnswer, "computeNs" | "preprocessNs">): void {
    this.#rows.value += rows;
    this.#calls.value++;
    this.#batchRows.observe(rows);
    this.#lastInferenceMs = this.#clock.wallNow();
    const { computeNs } = answer;
    if (answer.preprocessNs !== undefined) this.#computeInput.add(answer.preprocessNs);
    if (computeNs === undefined) return;
    this.#computeInfer.add(computeNs);
    this.#computeDuration.observe(computeNs / 1e9);
    this.#batchTally(rows).add(computeNs);
  }

  snapshot(): StatisticsSnapshot {
    const batches = [...this.#batches].sort(([a], [b]) => a - b);
    return {
      name: this.#name,
      version: this.#version,
      lastInferenceMs: this.#lastInferenceMs,
      inferenceCount: this.#rows.value,
      executionCount: this.#calls.value,
      success: this.#success,
      fail: this.#fail,
      queue: this.#queue,
      computeInput: this.#computeInput,
      computeInfer: this.#computeInfer,
      computeOutput: new Tally(),
      batches: batches.map(([size, compute]) => ({ size, compute })),
    };
  }

  #count(outcome: Outcome): void {
    let child = this.#outcomes.get(outcome);
    if (child === undefined) {
      child = this.#metrics.counter(modelMetrics.requests).with(this.#name, this.#version, outcome);
      this.#outcomes.set(outcome, child);
    }
    child.value++;
  }

  /** At most 128 sizes are kept apart; larger calls count as the last. */
  #batchTally(rows: number): Tally {
    const size = Math.min(rows, 128);
    let tally = this.#batches.get(size);
    if (tally === undefined) this.#batches.set(size, (tally = new Tally()));
    return tally;
  }
}
