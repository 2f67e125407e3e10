/** Counts requests by model, tenant and priority, in the words of the Endpoint Picker. */
import type { ForwardRecord } from "../contracts/request-record.ts";
import type { MetricFamily, MetricHistogram, Metrics, MetricValue } from "../contracts/telemetry.ts";
import { errorTable, type ErrorCode } from "../core/errors.ts";
import { overflowLabel } from "./family.ts";
import { maxRequestLabelSets, pickerMetrics } from "./picker-metrics.ts";

/** Names that are kept apart in the life of the process: of models, and of tenants. */
const maxNames = 1_000;

/** What a request is counted under. */
export interface RequestLabels {
  /** As the caller named it. */
  readonly model: string;
  /** The name it has at the servers. */
  readonly target: string;
  readonly fairnessId: string;
  readonly priority: number;
}

type Families = ReturnType<typeof makeFamilies>;

function makeFamilies(metrics: Metrics) {
  return {
    requests: metrics.counter(pickerMetrics.requests),
    errors: metrics.counter(pickerMetrics.errors),
    duration: metrics.histogram(pickerMetrics.duration),
    requestBytes: metrics.histogram(pickerMetrics.requestBytes),
    responseBytes: metrics.histogram(pickerMetrics.responseBytes),
    inputTokens: metrics.histogram(pickerMetrics.inputTokens),
    outputTokens: metrics.histogram(pickerMetrics.outputTokens),
    cachedTokens: metrics.histogram(pickerMetrics.cachedTokens),
    running: metrics.gauge(pickerMetrics.running),
    perToken: metrics.histogram(pickerMetrics.perToken),
    firstToken: metrics.histogram(pickerMetrics.firstToken),
    tokenGap: metrics.histogram(pickerMetrics.tokenGap),
  };
}

type Histograms = {
  [Name in keyof Families]: Families[Name] extends MetricFamily<MetricHistogram> ? Name : never;
}[keyof Families];

/** Counters of one label set. Histograms come into being with their first value. */
export class RequestMeter {
  readonly #families: Families;
  readonly #labels: readonly [string, string, string, string];
  readonly #total: MetricValue;
  readonly #running: MetricValue;
  readonly #histograms = new Map<string, MetricHistogram>();

  constructor(families: Families, labels: readonly [string, string, string, string]) {
    this.#families = families;
    this.#labels = labels;
    this.#total = families.requests.with(...labels);
    this.#running = families.running.with(...labels);
  }

  /** An attempt of the request has a place; one `left` follows. */
  placed(): void {
    this.#running.value++;
  }

  left(): void {
    this.#running.value--;
  }

  /** The request gets no place. */
  refused(code: ErrorCode): void {
    this.#total.value++;
    this.failed(code);
  }

  failed(code: ErrorCode): void {
    this.#families.errors.with(...this.#labels, errorWord(code)).value++;
  }

  /** The request has ended, whichever way. */
  ended(record: ForwardRecord): void {
    const { outcome, queueMs, durationMs, firstTokenMs, requestBytes, responseBytes } = record;
    this.#total.value++;
    if (outcome !== "ok") this.failed(outcome);
    if (requestBytes !== undefined) this.#observe("requestBytes", requestBytes);
    if (responseBytes !== undefined && responseBytes > 0) this.#observe("responseBytes", responseBytes);
    if (outcome !== "ok") return;
    this.#observe("duration", (queueMs + durationMs) / 1_000);
    if (firstTokenMs !== undefined) this.#firstToken(record, (queueMs + firstTokenMs) / 1_000);
    this.#used(record);
  }

  #used({ request, usage, queueMs, durationMs, firstTokenMs }: ForwardRecord): void {
    if (usage === undefined || usage.estimated) return;
    const { promptTokens, cachedTokens, completionTokens } = usage;
    if (promptTokens > 0) this.#observe("inputTokens", promptTokens);
    this.#observe("cachedTokens", cachedTokens);
    if (completionTokens < 1) return;
    this.#observe("outputTokens", completionTokens);
    this.#observe("perToken", (queueMs + durationMs) / 1_000 / completionTokens);
    if (!request.payload.stream || firstTokenMs === undefined || completionTokens < 2) return;
    this.#observe("tokenGap", (durationMs - firstTokenMs) / 1_000 / (completionTokens - 1));
  }

  #firstToken({ request }: ForwardRecord, seconds: number): void {
    const streaming = request.payload.stream ? "true" : "false";
    const known = this.#histograms.get(streaming);
    const histogram = known ?? this.#families.firstToken.with(...this.#labels, streaming);
    if (known === undefined) this.#histograms.set(streaming, histogram);
    histogram.observe(seconds);
  }

  #observe(name: Exclude<Histograms, "firstToken">, value: number): void {
    let histogram = this.#histograms.get(name);
    if (histogram === undefined) {
      histogram = this.#families[name].with(...this.#labels);
      this.#histograms.set(name, histogram);
    }
    histogram.observe(value);
  }
}

/** The meters by label set, bounded. */
export class RequestMeters {
  readonly #families: Families;
  readonly #models = new Set<string>();
  readonly #tenants = new Set<string>();
  readonly #meters = new Map<string, RequestMeter>();
  #last: RequestMeter | undefined;
  #lastLabels: RequestLabels = { model: "", target: "", fairnessId: "", priority: 0 };

  constructor(metrics: Metrics) {
    this.#families = makeFamilies(metrics);
  }

  /** Requests that follow each other are often alike: then nothing is looked up. */
  of(labels: RequestLabels): RequestMeter {
    const { model, target, fairnessId, priority } = this.#lastLabels;
    const last = this.#last;
    if (
      last !== undefined &&
      labels.fairnessId === fairnessId &&
      labels.model === model &&
      labels.target === target &&
      labels.priority === priority
    )
      return last;
    this.#lastLabels = labels;
    return (this.#last = this.#meters.get(keyOf(labels)) ?? this.#make(labels));
  }

  /** Where there is no room for a further label set, the tenant is `other`, then the models, then all. */
  #make({ model, target, fairnessId, priority }: RequestLabels): RequestMeter {
    const named = {
      model: bounded(this.#models, model),
      target: bounded(this.#models, target),
      fairnessId: bounded(this.#tenants, fairnessId),
      priority,
    };
    const byModel = { ...named, fairnessId: overflowLabel };
    const byPriority = { ...byModel, model: overflowLabel, target: overflowLabel };
    for (const [room, labels] of [
      [0.8, named],
      [0.98, byModel],
      [1, byPriority],
    ] as const) {
      const known = this.#meters.get(keyOf(labels));
      if (known !== undefined) return known;
      if (this.#meters.size < room * maxRequestLabelSets) return this.#add(labels, String(labels.priority));
    }
    const last = { ...byPriority, priority: Number.NaN };
    return this.#meters.get(keyOf(last)) ?? this.#add(last, overflowLabel);
  }

  #add(labels: RequestLabels, priority: string): RequestMeter {
    const { model, target, fairnessId } = labels;
    const meter = new RequestMeter(this.#families, [model, target, fairnessId, priority]);
    this.#meters.set(keyOf(labels), meter);
    return meter;
  }
}

function keyOf({ model, target, fairnessId, priority }: RequestLabels): string {
  return `${priority} ${model}\n${target}\n${fairnessId}`;
}

function bounded(names: Set<string>, name: string): string {
  if (names.has(name)) return name;
  if (names.size >= maxNames) return overflowLabel;
  names.add(name);
  return name;
}

const errorWords: Readonly<Record<number, string>> = {
  400: "BadRequest",
  401: "Unauthorized",
  403: "Forbidden",
  404: "NotFound",
  412: "PreconditionFailed",
  429: "ResourceExhausted",
  500: "Internal",
  503: "ServiceUnavailable",
};

/** The Endpoint Picker's word for an error. What a model server is at fault for is one word, `ModelServerError`. */
export function errorWord(code: ErrorCode): string {
  const { http, source } = errorTable[code];
  if (code === "client_gone") return "ClientDisconnected";
  if (source === "upstream" && code !== "model_unavailable") return "ModelServerError";
  return errorWords[http] ?? (http < 500 ? "BadRequest" : "Unknown");
}
