/** One request on its way through the rules: in their order, each timed and bounded. */
import type { ConfiguredRule, RoutedRequest, RuleResult } from "../../contracts/plugins/rule.ts";
import { Cancellation, type CancelReason } from "../../core/cancellation.ts";
import type { Clock, Timer } from "../../core/clock.ts";
import { failure, isFailure, toFailure, type Failure } from "../../core/errors.ts";
import type { ChatDialect, ForwardPayload, Operation, PromptReading } from "../../core/forward.ts";
import type { HeaderMap } from "../../core/headers.ts";
import { plainTraits } from "../../core/request-traits.ts";
import type { InferenceRequest } from "../../core/request.ts";
import { ruleText, type RuleTrace } from "../../core/rule-trace.ts";
import type { RuleMeters } from "./rule-metrics.ts";

/** What all passes share. */
export interface PassContext {
  readonly rules: readonly ConfiguredRule[];
  readonly clock: Clock;
  readonly meters: RuleMeters;
  /** Hears of what a rule threw. */
  readonly onFault: (rule: string, error: unknown) => void;
}

type Step = RuleResult | Failure | "late";

/** Longest note that is kept, characters. */
const maxNote = 200;

const noHeaders: HeaderMap = {};

/** A rule of a user's own may forget to give anything. */
const nothing: RuleResult = {};

/** The pass; it is what the rules see of the request. Changes go to the request itself, at once. */
export class RulePass implements RoutedRequest {
  readonly #context: PassContext;
  readonly #request: InferenceRequest<ForwardPayload>;
  #trace: RuleTrace[] | undefined;
  #cancellation: Cancellation | undefined;
  #prompt: PromptReading | Failure | undefined;
  #hasRead = false;
  #isRewritten = false;
  model: string;
  /** Where the rules want it to go; undefined: to any pool that has the model. */
  pool: string | undefined;

  constructor(context: PassContext, request: InferenceRequest<ForwardPayload>) {
    this.#context = context;
    this.#request = request;
    this.model = request.model;
  }

  get id(): string {
    return this.#request.id;
  }

  get headers(): HeaderMap {
    return this.#request.headers ?? noHeaders;
  }

  get callerId(): string {
    return this.#request.caller.id;
  }

  get dialect(): ChatDialect {
    return this.#request.payload.dialect;
  }

  get operation(): Operation {
    return this.#request.payload.operation;
  }

  get payload(): ForwardPayload {
    return this.#request.payload;
  }

  get prompt(): PromptReading | Failure | undefined {
    return this.#prompt;
  }

  get cancellation(): Cancellation {
    return (this.#cancellation ??= new Cancellation());
  }

  /** True where a rule has put another model in the place of the caller's. */
  get isRewritten(): boolean {
    return this.#isRewritten;
  }

  /** Runs the rules. Undefined: all have let it pass; a promise only where one of them asks elsewhere. Throws nothing. */
  run(from = 0): Failure | undefined | Promise<Failure | undefined> {
    const { rules, clock } = this.#context;
    for (let index = from; index < rules.length; index++) {
      const each = rules[index];
      if (each === undefined || !this.#concerns(each)) continue;
      if (each.readsPrompt && !this.#hasRead) {
        const reading = this.#read();
        if (reading !== undefined) return reading.then(() => this.run(index));
      }
      const startedAt = clock.now();
      const step = this.#apply(each);
      if (step === undefined) continue;
      if (step instanceof Promise) {
        return this.#within(each, step).then(
          (late) => this.#after(each, late, startedAt) ?? this.run(index + 1),
        );
      }
      const refusal = this.#settle(each, step, startedAt);
      if (refusal !== undefined) return refusal;
    }
    return undefined;
  }

  #concerns({ spec: { models } }: ConfiguredRule): boolean {
    if (models === undefined) return true;
    const asked = this.#request.model;
    return models.some((each) => (each.endsWith("*") ? asked.startsWith(each.slice(0, -1)) : each === asked));
  }

  #read(): Promise<void> | undefined {
    const reading = this.payload.readPrompt?.();
    if (reading instanceof Promise) return reading.then((read) => this.#hasPrompt(read));
    this.#hasPrompt(reading);
    return undefined;
  }

  #hasPrompt(reading: PromptReading | Failure | undefined): void {
    this.#hasRead = true;
    this.#prompt = reading;
  }

  /** Undefined: the rule does not look at the request. */
  #apply({ rule, spec }: ConfiguredRule): Step | Promise<Step> | undefined {
    try {
      return rule.applies(this) ? (rule.apply(this) ?? nothing) : undefined;
    } catch (error) {
      return this.#thrown(spec.plugin.name, error);
    }
  }

  #thrown(name: string, error: unknown): Failure {
    this.#context.onFault(name, error);
    const { code, message } = toFailure(error);
    return failure(code, message);
  }

  /** What a rule gives that asks elsewhere, or that it is late; called off with the request. */
  #within({ rule, spec }: ConfiguredRule, later: Promise<Step>): Promise<Step> {
    const { clock } = this.#context;
    const request = this.#request;
    const left = request.deadline - clock.now();
    const boundMs = Math.max(0, Math.min(spec.timeoutMs ?? rule.timeoutMs, left));
    return new Promise((resolve) => {
      let isOver = false;
      const end = (step: Step, reason: CancelReason | undefined): void => {
        if (isOver) return;
        isOver = true;
        timer.cancel();
        request.cancellation.listen(undefined);
        const call = this.#cancellation;
        this.#cancellation = undefined;
        if (reason !== undefined) call?.cancel(reason);
        resolve(step);
      };
      const timer: Timer = clock.after(boundMs, () => end("late", "deadline"));
      later.then(
        (step) => end(step ?? nothing, undefined),
        (error: unknown) => end(isOver ? "late" : this.#thrown(spec.plugin.name, error), undefined),
      );
      request.cancellation.listen((reason) => end("late", reason));
    });
  }

  /** Refused without a word about the rule where nobody waits any more, or the request's own time is over. */
  #after(each: ConfiguredRule, step: Step, startedAt: number): Failure | undefined {
    const { cancellation, deadline } = this.#request;
    if (cancellation.reason !== undefined) {
      return failure(cancellation.reason === "shutdown" ? "draining" : "client_gone");
    }
    const refusal = this.#settle(each, step, startedAt);
    if (this.#context.clock.now() >= deadline) return failure("queue_timeout", undefined, 1_000);
    return refusal;
  }

  #settle(each: ConfiguredRule, step: Step, startedAt: number): Failure | undefined {
    const { name } = each.spec.plugin;
    const tookMs = this.#context.clock.now() - startedAt;
    const wrong = unusable(step);
    if (wrong !== undefined) return this.#settle(each, this.#thrown(name, wrong), startedAt);
    const told = (result: RuleTrace["result"], note: string | undefined): void => {
      (this.#trace ??= []).push({ rule: name, tookMs, result, note: note?.slice(0, maxNote) });
      this.#request.rules = this.#trace;
      this.#context.meters.ended(name, result, tookMs);
    };
    if (step === "late") {
      told("late", undefined);
      return this.#failed(each, failure("rule_failed", `The rule ${name} took too long`, 1_000));
    }
    if (isFailure(step)) {
      told("failed", step.message);
      return this.#failed(each, step);
    }
    if (step.refusal !== undefined) {
      told("refused", step.note ?? step.refusal.message);
      return withRule(step.refusal, name);
    }
    told(this.#change(step) ? "changed" : "passed", step.note);
    return undefined;
  }

  /** A failure that is the caller's is told as it is; what else went wrong is not the caller's business. */
  #failed({ rule, spec }: ConfiguredRule, reason: Failure): Failure | undefined {
    if ((spec.onFailure ?? rule.onFailure) === "open") return undefined;
    const { name } = spec.plugin;
    const isTold = reason.code === "bad_request" || reason.code === "rule_failed";
    const told = isTold ? reason : failure("rule_failed", `The rule ${name} could not be asked`, 1_000);
    return withRule(told, name);
  }

  #change({ model, pool, payload, priority, fairnessId }: RuleResult): boolean {
    const request = this.#request;
    if (model !== undefined) {
      this.model = model;
      this.#isRewritten = true;
    }
    if (pool !== undefined) this.pool = pool;
    if (payload !== undefined) request.payload = payload;
    if (priority !== undefined) request.priority = priority;
    if (fairnessId !== undefined) request.traits = { ...(request.traits ?? plainTraits), fairnessId };
    return (model ?? pool ?? payload ?? priority ?? fairnessId) !== undefined;
  }
}

/** What a rule of a user's own gave that is no result; undefined where it is one. */
function unusable(result: Step): TypeError | undefined {
  if (result === "late") return undefined;
  if (!isObject(result)) return new TypeError("no object");
  if (isFailure(result)) return undefined;
  const { model, pool, payload, priority, fairnessId, refusal } = result;
  const isText = (value: unknown): boolean =>
    value === undefined || (typeof value === "string" && value !== "");
  if (!isText(model) || !isText(pool) || !isText(fairnessId))
    return new TypeError("model, pool, fairnessId: no text");
  if (priority !== undefined && !Number.isSafeInteger(priority))
    return new TypeError("priority: no whole number");
  if (payload !== undefined && !(isObject(payload) && typeof payload.attempt === "function"))
    return new TypeError("payload: no payload");
  if (refusal !== undefined && !(isObject(refusal) && isFailure(refusal)))
    return new TypeError("refusal: no failure");
  return undefined;
}

function isObject(value: unknown): boolean {
  return typeof value === "object" && value !== null;
}

/** Names the rule in the answer's headers. */
function withRule(reason: Failure, rule: string): Failure {
  return { ...reason, headers: [...(reason.headers ?? []), ["x-spillway-rule", ruleText(rule)]] };
}
