/** The rules of a pool's line, as a flow control has them. */
import type { LineCost } from "../../contracts/line.ts";
import type { WiredFlow } from "../../contracts/plugins/wired-flow.ts";
import type { Failure } from "../../core/errors.ts";
import { carriesTensors, type InferenceRequest } from "../../core/request.ts";
import { closingRefusal, flowRefusal } from "./flow-refusals.ts";
import { guardFairness, guardOrdering, type PolicyFault } from "./guarded-policies.ts";
import type { BandRules, LeaveCause, LineObserver, LineRules, Standing } from "./line-rules.ts";
import type { PredictedWork } from "./predicted-work.ts";

/** Bands that requests themselves bring about, with priorities that nothing is configured for. */
const maxOwnBands = 32;

/** What the rules need beside the flow control. */
export interface FlowRulesOptions {
  readonly flow: WiredFlow;
  readonly work: PredictedWork;
  readonly observer: LineObserver;
  /** True while the pool has no endpoint. */
  readonly isEmpty: () => boolean;
  readonly onFault: PolicyFault;
}

/** Rules for a `RequestLine` of forwarded requests. */
export class FlowRules implements LineRules {
  readonly maxRequests: number;
  readonly maxBytes: number;
  readonly maxTokens: number;
  readonly noEndpointTtlMs: number;
  readonly displaces: boolean;
  readonly observer: LineObserver;
  readonly #options: FlowRulesOptions;
  #priorities: readonly number[];
  #ownBands = 0;

  constructor(options: FlowRulesOptions) {
    this.#options = options;
    const { flow } = options;
    this.maxRequests = flow.maxRequests;
    this.maxBytes = flow.maxBytes;
    this.maxTokens = flow.maxTokens;
    this.noEndpointTtlMs = flow.noEndpointTtlMs;
    this.displaces = flow.eviction !== undefined;
    this.observer = options.observer;
    this.#priorities = flow.priorities.toSorted((a, b) => b - a);
  }

  /** Of all bands there are, highest first. Another array after each new one. */
  get priorities(): readonly number[] {
    return this.#priorities;
  }

  /** A priority of its own for each there is; once those are too many, the nearest on the same side of 0. */
  bandOf(priority: number): number {
    const wanted = Math.trunc(priority) || 0;
    if (this.#priorities.includes(wanted)) return wanted;
    const near = this.#ownBands < maxOwnBands ? undefined : this.#nearest(wanted);
    if (near !== undefined) return near;
    this.#ownBands++;
    this.#priorities = [...this.#priorities, wanted].sort((a, b) => b - a);
    return wanted;
  }

  rulesOf(priority: number): BandRules {
    const { flow, onFault } = this.#options;
    const { fairness, ordering, ...bounds } = flow.band(priority);
    return {
      ...bounds,
      fairness: fairness.plugin.ignoresFlows === true ? undefined : guardFairness(fairness, onFault),
      ordering: ordering.plugin.keepsArrivalOrder === true ? undefined : guardOrdering(ordering, onFault),
    };
  }

  isEmpty(): boolean {
    return this.#options.isEmpty();
  }

  predictedTokens(request: InferenceRequest, { shapeKey, model = shapeKey }: LineCost): number {
    return carriesTensors(request) ? 0 : this.#options.work.tokensOf(model, request.payload);
  }

  refusal(cause: LeaveCause, standing: Standing): Failure {
    return flowRefusal(cause, standing, this.#options.isEmpty());
  }

  flushed(reason: Failure): Failure {
    return closingRefusal(reason);
  }

  #nearest(wanted: number): number | undefined {
    let nearest: number | undefined;
    for (const priority of this.#priorities) {
      if (priority < 0 !== wanted < 0) continue;
      if (nearest === undefined || Math.abs(priority - wanted) < Math.abs(nearest - wanted))
        nearest = priority;
    }
    return nearest;
  }
}
