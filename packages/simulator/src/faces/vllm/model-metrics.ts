/** What vLLM's /metrics counts for a model. */
import type { EngineObserver } from "../../engine/engine.ts";
import type { Sequence } from "../../engine/sequence.ts";
import type { FinishReason } from "../../text/answer.ts";

/** A cumulative histogram. */
class Histogram {
  readonly #bounds: readonly number[];
  readonly #counts: number[];
  #sum = 0;
  #count = 0;

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = bounds.map(() => 0);
  }

  observe(value: number): void {
    this.#sum += value;
    this.#count += 1;
    let at = 0;
    while (at < this.#bounds.length && value > (this.#bounds[at] ?? 0)) at += 1;
    if (at < this.#counts.length) this.#counts[at] = (this.#counts[at] ?? 0) + 1;
  }

  print(name: string, labels: string): string {
    let cumulated = 0;
    let out = "";
    for (const [at, bound] of this.#bounds.entries()) {
      cumulated += this.#counts[at] ?? 0;
      const le = Number.isInteger(bound) ? `${bound}.0` : String(bound);
      out += `${name}_bucket{${labels},le="${le}"} ${cumulated}\n`;
    }
    return `${out}${name}_bucket{${labels},le="+Inf"} ${this.#count}\n${name}_count{${labels}} ${this.#count}\n${name}_sum{${labels}} ${this.#sum}\n`;
  }
}

const TTFT = [
  0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640,
  2560,
];
const ITL = [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80];
const E2E = [0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680];
const TOKENS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000];
const STEP = [1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384];

/** Help and buckets of each histogram, by its name without `vllm:`. */
export const HISTOGRAMS = {
  time_to_first_token_seconds: ["Histogram of time to first token in seconds.", TTFT],
  inter_token_latency_seconds: ["Histogram of inter-token latency in seconds.", ITL],
  request_time_per_output_token_seconds: ["Histogram of time_per_output_token_seconds per request.", ITL],
  e2e_request_latency_seconds: ["Histogram of e2e request latency in seconds.", E2E],
  request_queue_time_seconds: ["Histogram of time spent in WAITING phase for request.", E2E],
  request_inference_time_seconds: ["Histogram of time spent in RUNNING phase for request.", E2E],
  request_prefill_time_seconds: ["Histogram of time spent in PREFILL phase for request.", E2E],
  request_decode_time_seconds: ["Histogram of time spent in DECODE phase for request.", E2E],
  request_prompt_tokens: ["Number of prefill tokens processed.", TOKENS],
  request_generation_tokens: ["Number of generation tokens processed.", TOKENS],
  request_max_num_generation_tokens: ["Histogram of maximum number of requested generation tokens.", TOKENS],
  request_params_max_tokens: ["Histogram of the max_tokens request parameter.", TOKENS],
  request_params_n: ["Histogram of the n request parameter.", [1, 2, 5, 10, 20]],
  iteration_tokens_total: ["Histogram of number of tokens per engine_step.", STEP],
} as const satisfies Record<string, readonly [string, readonly number[]]>;

/** A histogram of vLLM's. */
export type HistogramName = keyof typeof HISTOGRAMS;

/** The series of one model, fed by its engine. */
export class ModelMetrics implements EngineObserver {
  readonly #histograms = new Map<HistogramName, Histogram>();
  /** Requests that ended, by vLLM's words for why. */
  readonly finished = { stop: 0, length: 0, abort: 0 };

  constructor() {
    for (const name of Object.keys(HISTOGRAMS) as HistogramName[])
      this.#histograms.set(name, new Histogram(HISTOGRAMS[name][1]));
  }

  firstToken(sequence: Sequence): void {
    this.observe("time_to_first_token_seconds", (sequence.firstTokenAt - sequence.arrivedAt) / 1000);
  }

  gap(gapMs: number): void {
    this.observe("inter_token_latency_seconds", gapMs / 1000);
  }

  step(tokens: number): void {
    this.observe("iteration_tokens_total", tokens);
  }

  ended(sequence: Sequence): void {
    if (sequence.state === "aborted") this.finished.abort += 1;
    if (sequence.state !== "finished") return;
    const seconds = (from: number, to: number): number => Math.max(0, to - from) / 1000;
    const { arrivedAt, scheduledAt, firstTokenAt, lastTokenAt, produced } = sequence;
    this.observe("e2e_request_latency_seconds", seconds(arrivedAt, lastTokenAt));
    this.observe("request_queue_time_seconds", seconds(arrivedAt, scheduledAt));
    this.observe("request_inference_time_seconds", seconds(scheduledAt, lastTokenAt));
    this.observe("request_prefill_time_seconds", seconds(scheduledAt, firstTokenAt));
    this.observe("request_decode_time_seconds", seconds(firstTokenAt, lastTokenAt));
    if (produced > 1)
      this.observe(
        "request_time_per_output_token_seconds",
        seconds(firstTokenAt, lastTokenAt) / (produced - 1),
      );
    this.observe("request_prompt_tokens", sequence.prompt.tokens);
    this.observe("request_generation_tokens", produced);
    this.observe("request_max_num_generation_tokens", sequence.outputTokens);
  }

  /** A request was answered in full, with the parameters it came with. */
  succeeded(
    reason: FinishReason,
    { choices, maxTokens }: { choices: number; maxTokens: number | undefined },
  ): void {
    if (reason === "length") this.finished.length += 1;
    else this.finished.stop += 1;
    this.observe("request_params_n", choices);
    if (maxTokens !== undefined) this.observe("request_params_max_tokens", maxTokens);
  }

  /** Adds a value to a histogram. */
  observe(name: HistogramName, value: number): void {
    this.#histograms.get(name)?.observe(value);
  }

  /** A histogram in Prometheus' text form, without its head. */
  print(name: HistogramName, labels: string): string {
    return this.#histograms.get(name)?.print(`vllm:${name}`, labels) ?? "";
  }
}
