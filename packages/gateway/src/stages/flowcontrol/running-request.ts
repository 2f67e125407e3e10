/** A request under way, as flow control counts it. */
import type { FlowGrant, FlowHold } from "../../contracts/flow-gate.ts";
import type { WaitingItem } from "../../contracts/plugins/flow.ts";
import type { SchedulableEndpoint } from "../../contracts/plugins/scheduling.ts";
import type { Cancellation } from "../../core/cancellation.ts";
import type { TokenUsage } from "../../core/forward.ts";
import { plainTraits, type RequestTraits } from "../../core/request-traits.ts";

/** Who hears of its end. */
export interface RunningOwner {
  /** Once for each request. */
  ended(running: RunningRequest, usage: TokenUsage | undefined): void;
}

/** Holds no more of the request than eviction and accounts need. */
export class RunningRequest implements FlowHold, WaitingItem {
  readonly id: string;
  readonly priority: number;
  readonly traits: RequestTraits;
  /** When it got its place, on the clock. */
  readonly enqueuedAt: number;
  readonly deadline: number;
  readonly bytes: number;
  readonly predictedTokens: number;
  readonly model: string;
  readonly waited: boolean;
  readonly endpoint: SchedulableEndpoint;
  readonly cancellation: Cancellation;
  /** When it was called off; undefined: it was not. */
  evictedAt: number | undefined = undefined;
  /** Neighbours among those that may be called off. */
  previous: RunningRequest | undefined = undefined;
  next: RunningRequest | undefined = undefined;
  #owner: RunningOwner | undefined;

  constructor(owner: RunningOwner, { model, request, endpoint, charged }: FlowGrant, facts: RunningFacts) {
    this.#owner = owner;
    this.id = request.id;
    this.priority = request.priority;
    this.traits = request.traits ?? plainTraits;
    this.deadline = request.deadline;
    this.cancellation = request.cancellation;
    this.bytes = request.payload.bytes ?? 0;
    this.model = model;
    this.endpoint = endpoint;
    this.waited = charged !== undefined;
    this.enqueuedAt = facts.grantedAt;
    this.predictedTokens = facts.predictedTokens;
  }

  ended(usage: TokenUsage | undefined): void {
    const owner = this.#owner;
    this.#owner = undefined;
    owner?.ended(this, usage);
  }
}

/** What flow control itself knows of it. */
export interface RunningFacts {
  readonly grantedAt: number;
  readonly predictedTokens: number;
}
