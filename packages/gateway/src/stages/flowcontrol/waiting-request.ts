/** A request in line, as who drains it and as policies see it. */
import type { Lease } from "../../contracts/lease.ts";
import type { LineCost, LineEntry, Waiter } from "../../contracts/line.ts";
import type { WaitingItem } from "../../contracts/plugins/flow.ts";
import type { Failure } from "../../core/errors.ts";
import { plainTraits, type RequestTraits } from "../../core/request-traits.ts";
import type { InferenceRequest, Payload } from "../../core/request.ts";
import type { BandRules } from "./line-rules.ts";
import type { Ranked } from "./rank-heap.ts";

/** An entry of its lane's heap and the `Waiter` that the drain sees. `L` is the lane. */
export class WaitingRequest<P extends Payload, B extends LineCost, L>
  implements Waiter<P, B>, WaitingItem, Ranked
{
  readonly request: InferenceRequest<P>;
  readonly bound: B;
  readonly enqueuedAt: number;
  /** Order of arrival in the line. */
  readonly sequence: number;
  /** 0 where nothing predicts. */
  predictedTokens = 0;
  note: unknown = undefined;
  rank = 0;
  heapIndex = -1;
  /** Where it waits; undefined before and after. */
  lane: L | undefined = undefined;
  /** Its neighbours in a lane without ranks. */
  previous: WaitingRequest<P, B, L> | undefined = undefined;
  next: WaitingRequest<P, B, L> | undefined = undefined;
  /** How many have gone before it that came later, where requests go first come first served. */
  overtaken = 0;
  /** Requests that go before it when it joins, and how many had left from before it by then. */
  ahead = 0;
  departedBefore = 0;
  readonly #rules: BandRules;
  readonly #done: (result: Lease | Failure) => void;

  constructor(entry: LineEntry<P, B>, rules: BandRules, enqueuedAt: number, sequence: number) {
    this.request = entry.request;
    this.bound = entry.bound;
    this.#done = entry.done;
    this.#rules = rules;
    this.enqueuedAt = enqueuedAt;
    this.sequence = sequence;
  }

  get deadline(): number {
    return Math.min(this.request.deadline, this.enqueuedAt + this.#rules.ttlMs);
  }

  get id(): string {
    return this.request.id;
  }

  get priority(): number {
    return this.request.priority;
  }

  get traits(): RequestTraits {
    return this.request.traits ?? plainTraits;
  }

  get bytes(): number {
    return this.bound.bytes ?? 0;
  }

  grant(lease: Lease): void {
    this.#done(lease);
  }

  refuse(reason: Failure): void {
    this.#done(reason);
  }
}
