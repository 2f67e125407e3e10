/** The last requests, in memory that is set aside once: keeping one makes no object and costs a few writes. */
import type { EscalationStory } from "../contracts/escalation.ts";
import type { ForwardRecord, RequestRecord, RequestRecords } from "../contracts/request-record.ts";
import type { ForwardPayload } from "../core/forward.ts";
import type { Outcome } from "../core/outcome.ts";
import type { InferenceRequest } from "../core/request.ts";
import type { RuleTrace } from "../core/rule-trace.ts";

/** Requests that are kept unless somebody says otherwise: some seconds of a busy gateway. */
const defaultKeptRequests = 4_096;

/** The numbers of a record, in their order. */
const numbers = [
  "attempts",
  "queue",
  "duration",
  "firstToken",
  "prompt",
  "cached",
  "completion",
  "estimated",
] as const;
const width = numbers.length;

/** A ring. Its texts are those of the requests, by reference: nothing of their bodies is held. */
export class RecentRequests implements RequestRecords {
  readonly #capacity: number;
  readonly #ids: string[];
  readonly #callers: string[];
  readonly #models: string[];
  readonly #pools: string[];
  readonly #endpoints: string[];
  readonly #outcomes: Outcome[];
  readonly #escalations: (EscalationStory | undefined)[];
  readonly #rules: (readonly RuleTrace[] | undefined)[];
  /** `width` numbers a record; NaN for what there is none of. */
  readonly #numbers: Float64Array;
  #next = 0;

  constructor(capacity: number = defaultKeptRequests) {
    const texts = (): string[] => Array.from({ length: capacity }, () => "");
    this.#capacity = capacity;
    this.#ids = texts();
    this.#callers = texts();
    this.#models = texts();
    this.#pools = texts();
    this.#endpoints = texts();
    this.#escalations = Array.from({ length: capacity }, () => undefined);
    this.#rules = Array.from({ length: capacity }, () => undefined);
    this.#outcomes = Array.from({ length: capacity }, () => "ok");
    this.#numbers = new Float64Array(capacity * width);
  }

  add({
    request,
    route,
    endpoint,
    outcome,
    attempts,
    queueMs,
    durationMs,
    firstTokenMs,
    usage,
    escalation,
  }: ForwardRecord): void {
    const at = this.#begin(request, outcome);
    this.#pools[at] = route.pool.name;
    this.#endpoints[at] = endpoint;
    if (this.#escalations[at] !== escalation) this.#escalations[at] = escalation;
    const values = this.#numbers;
    const from = at * width;
    values[from] = attempts;
    values[from + 1] = queueMs;
    values[from + 2] = durationMs;
    values[from + 3] = firstTokenMs ?? Number.NaN;
    values[from + 4] = usage?.promptTokens ?? Number.NaN;
    values[from + 5] = usage?.cachedTokens ?? 0;
    values[from + 6] = usage?.completionTokens ?? 0;
    values[from + 7] = usage?.estimated === true ? 1 : 0;
  }

  addRefused(request: InferenceRequest<ForwardPayload>, outcome: Outcome): void {
    const at = this.#begin(request, outcome);
    this.#pools[at] = "";
    this.#endpoints[at] = "";
    this.#escalations[at] = undefined;
    this.#numbers.fill(0, at * width, (at + 1) * width);
    this.#numbers.fill(Number.NaN, at * width + 3, at * width + 5);
  }

  /** Takes the next place. */
  #begin(request: InferenceRequest<ForwardPayload>, outcome: Outcome): number {
    const at = this.#next;
    this.#next = at + 1 === this.#capacity ? 0 : at + 1;
    this.#ids[at] = request.id;
    this.#callers[at] = request.caller.id;
    this.#models[at] = request.model;
    this.#outcomes[at] = outcome;
    if (this.#rules[at] !== request.rules) this.#rules[at] = request.rules;
    return at;
  }

  find(id: string): RequestRecord | undefined {
    if (id === "") return undefined;
    for (let back = 1; back <= this.#capacity; back++) {
      const at = (this.#next - back + this.#capacity) % this.#capacity;
      if (this.#ids[at] === id) return this.#read(at);
    }
    return undefined;
  }

  #read(at: number): RequestRecord {
    const [attempts = 0, queueMs = 0, durationMs = 0, firstTokenMs = 0, promptTokens = 0, ...rest] =
      this.#numbers.subarray(at * width, (at + 1) * width);
    const [cachedTokens = 0, completionTokens = 0, estimated = 0] = rest;
    return {
      id: this.#ids[at] ?? "",
      caller: this.#callers[at] ?? "",
      model: this.#models[at] ?? "",
      pool: this.#pools[at] ?? "",
      endpoint: this.#endpoints[at] ?? "",
      outcome: this.#outcomes[at] ?? "ok",
      escalation: this.#escalations[at],
      rules: this.#rules[at],
      attempts,
      queueMs,
      durationMs,
      firstTokenMs: Number.isNaN(firstTokenMs) ? undefined : firstTokenMs,
      usage: Number.isNaN(promptTokens)
        ? undefined
        : { promptTokens, cachedTokens, completionTokens, estimated: estimated === 1 },
    };
  }
}
