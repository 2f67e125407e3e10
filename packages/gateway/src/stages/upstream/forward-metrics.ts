/** Series about requests that HTTP servers answer, by pool and model. */
import type { AttemptResult, ForwardRoute } from "../../contracts/http-endpoint.ts";
import type { MetricDefinition, MetricHistogram, Metrics, MetricValue } from "../../contracts/telemetry.ts";
import type { Failure } from "../../core/errors.ts";
import type { TokenUsage } from "../../core/forward.ts";
import type { Outcome } from "../../core/outcome.ts";

const longBuckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600] as const;

/** The families of this module, for the reference page. */
export const forwardMetrics = {
  requests: {
    name: "spillway_forward_requests_total",
    help: "Requests for HTTP servers that got a place or waited for one, by how they ended: ok, or the code of the failure.",
    labels: ["pool", "model", "outcome"],
  },
  duration: {
    name: "spillway_forward_duration_seconds",
    help: "From the first attempt to the end of the answer.",
    labels: ["pool", "model"],
    buckets: longBuckets,
  },
  firstToken: {
    name: "spillway_forward_time_to_first_token_seconds",
    help: "From sending to the first content of the answer; of an answer that is not streamed, to its head.",
    labels: ["pool", "model"],
    buckets: longBuckets,
  },
  queue: {
    name: "spillway_forward_queue_seconds",
    help: "Time in line for a server.",
    labels: ["pool"],
    buckets: [0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
  },
  tokens: {
    name: "spillway_forward_tokens_total",
    help: "Tokens by kind: prompt, cached (of the prompt), completion; source is estimated where the server did not tell.",
    labels: ["pool", "model", "kind", "source"],
  },
  retries: {
    name: "spillway_forward_retries_total",
    help: "Further attempts, by why the one before failed.",
    labels: ["pool", "reason"],
  },
  exhausted: {
    name: "spillway_forward_retry_budget_exhausted_total",
    help: "Further attempts that were not made since the budget was drawn.",
    labels: ["pool"],
  },
  budget: {
    name: "spillway_forward_retry_budget_attempts",
    help: "Further attempts that the budget of the process allows now.",
    labels: [],
  },
  hedges: {
    name: "spillway_forward_hedges_total",
    help: "Second attempts beside a slow first: launched; won; cancelled, since the first was faster or the caller left.",
    labels: ["pool", "result"],
  },
  cancellations: {
    name: "spillway_forward_cancellations_total",
    help: "Requests called off, by phase: queue, connect, first_token, stream, whole, backoff, hedge.",
    labels: ["pool", "phase"],
  },
  streams: {
    name: "spillway_forward_open_streams",
    help: "Answers that are passed on as they come, now: streams, and long ones.",
    labels: ["pool"],
  },
  streamsEnded: {
    name: "spillway_forward_streams_total",
    help: "Answers that were passed on as they came, by how they ended: ok, client_gone, or the code of what broke them.",
    labels: ["pool", "outcome"],
  },
  tokenGap: {
    name: "spillway_forward_time_per_output_token_seconds",
    help: "Mean time between two tokens of a streamed answer, behind its first content; tokens as the server counted them.",
    labels: ["pool", "model"],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5],
  },
  overflows: {
    name: "spillway_forward_held_back_overflows_total",
    help: "Answers passed on before their first content since more than 64 KB came before it.",
    labels: ["pool"],
  },
} as const satisfies Record<string, MetricDefinition & { readonly buckets?: readonly number[] }>;

/** Where a request was when it was called off. */
export type CancelPhase = "queue" | "connect" | "first_token" | "stream" | "whole" | "backoff" | "hedge";

/** Models of a pool that are kept apart; further ones share the label `other`. */
const maxModels = 256;

/** Counters of one model of one pool. */
class ModelMeter {
  readonly duration: MetricHistogram;
  readonly firstToken: MetricHistogram;
  readonly tokenGap: MetricHistogram;
  readonly ok: MetricValue;
  readonly #families: Families;
  readonly #pool: string;
  readonly #model: string;
  #told: TokenChildren | undefined;
  #estimated: TokenChildren | undefined;

  constructor(families: Families, pool: string, model: string) {
    this.#families = families;
    this.#pool = pool;
    this.#model = model;
    this.duration = families.duration.with(pool, model);
    this.firstToken = families.firstToken.with(pool, model);
    this.tokenGap = families.tokenGap.with(pool, model);
    this.ok = families.requests.with(pool, model, "ok");
  }

  ended(outcome: Outcome): void {
    if (outcome === "ok") this.ok.value++;
    else this.#families.requests.with(this.#pool, this.#model, outcome).value++;
  }

  /** How quickly the tokens of a stream came one after the other. */
  streamed(result: Pick<AttemptResult, "firstTokenMs" | "durationMs" | "usage">): void {
    const { firstTokenMs, durationMs, usage } = result;
    if (firstTokenMs === undefined || usage === undefined || usage.estimated) return;
    const further = usage.completionTokens - 1;
    if (further > 0) this.tokenGap.observe((durationMs - firstTokenMs) / 1_000 / further);
  }

  used(tokens: TokenUsage): void {
    const children = tokens.estimated
      ? (this.#estimated ??= this.#children("estimated"))
      : (this.#told ??= this.#children("server"));
    children.prompt.value += tokens.promptTokens;
    children.cached.value += tokens.cachedTokens;
    children.completion.value += tokens.completionTokens;
  }

  #children(source: "server" | "estimated"): TokenChildren {
    const { tokens } = this.#families;
    return {
      prompt: tokens.with(this.#pool, this.#model, "prompt", source),
      cached: tokens.with(this.#pool, this.#model, "cached", source),
      completion: tokens.with(this.#pool, this.#model, "completion", source),
    };
  }
}

type TokenChildren = Readonly<Record<"prompt" | "cached" | "completion", MetricValue>>;

/** Counters of one pool. */
export class PoolMeter {
  readonly queue: MetricHistogram;
  readonly streams: MetricValue;
  readonly overflows: MetricValue;
  readonly exhausted: MetricValue;
  readonly #families: Families;
  readonly #pool: string;
  readonly #streamsOk: MetricValue;
  readonly #models = new Map<string, ModelMeter>();

  constructor(families: Families, pool: string) {
    this.#families = families;
    this.#pool = pool;
    this.queue = families.queue.with(pool);
    this.streams = families.streams.with(pool);
    this.overflows = families.overflows.with(pool);
    this.exhausted = families.exhausted.with(pool);
    this.#streamsOk = families.streamsEnded.with(pool, "ok");
  }

  streamEnded(outcome: Outcome): void {
    this.streams.value--;
    if (outcome === "ok") this.#streamsOk.value++;
    else this.#families.streamsEnded.with(this.#pool, outcome).value++;
  }

  model(name: string): ModelMeter {
    const known = this.#models.get(name);
    if (known !== undefined) return known;
    if (this.#models.size >= maxModels && name !== "other") return this.model("other");
    const made = new ModelMeter(this.#families, this.#pool, name);
    this.#models.set(name, made);
    return made;
  }

  retried(reason: AttemptResult["kind"]): void {
    this.#families.retries.with(this.#pool, reason).value++;
  }

  hedge(result: "launched" | "won" | "cancelled"): void {
    this.#families.hedges.with(this.#pool, result).value++;
  }

  cancelled(phase: CancelPhase): void {
    this.#families.cancellations.with(this.#pool, phase).value++;
  }
}

type Families = ReturnType<typeof makeFamilies>;

function makeFamilies(metrics: Metrics) {
  return {
    requests: metrics.counter(forwardMetrics.requests),
    duration: metrics.histogram(forwardMetrics.duration),
    firstToken: metrics.histogram(forwardMetrics.firstToken),
    queue: metrics.histogram(forwardMetrics.queue),
    tokens: metrics.counter(forwardMetrics.tokens),
    retries: metrics.counter(forwardMetrics.retries),
    exhausted: metrics.counter(forwardMetrics.exhausted),
    hedges: metrics.counter(forwardMetrics.hedges),
    cancellations: metrics.counter(forwardMetrics.cancellations),
    streams: metrics.gauge(forwardMetrics.streams),
    streamsEnded: metrics.counter(forwardMetrics.streamsEnded),
    tokenGap: metrics.histogram(forwardMetrics.tokenGap),
    overflows: metrics.counter(forwardMetrics.overflows),
  };
}

/** Meters by pool. Pools are configured, so their number is bounded. */
export class ForwardMeters {
  readonly #families: Families;
  readonly #pools = new Map<string, PoolMeter>();

  /** `available` tells what is left of the retry budget when somebody scrapes. */
  constructor(metrics: Metrics, available: () => number) {
    this.#families = makeFamilies(metrics);
    const budget = metrics.gauge(forwardMetrics.budget).with();
    metrics.onCollect(() => void (budget.value = available()));
  }

  of({ pool }: ForwardRoute): PoolMeter {
    const known = this.#pools.get(pool.name);
    if (known !== undefined) return known;
    const made = new PoolMeter(this.#families, pool.name);
    this.#pools.set(pool.name, made);
    return made;
  }
}

/** Counts requests that left a pool's line without having been sent. */
export function createRefusalCounter(metrics: Metrics): (route: ForwardRoute, reason: Failure) => void {
  const requests = metrics.counter(forwardMetrics.requests);
  const cancellations = metrics.counter(forwardMetrics.cancellations);
  return ({ pool, model }, { code }) => {
    requests.with(pool.name, model, code).value++;
    const phase: CancelPhase = "queue";
    if (code === "client_gone") cancellations.with(pool.name, phase).value++;
  };
}
