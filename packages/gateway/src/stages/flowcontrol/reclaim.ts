/** Calls off sheddable work under way for requests above it that wait, a little at a time. */
import type { EvictionPolicy } from "../../contracts/plugins/flow.ts";
import type { SchedulableEndpoint } from "../../contracts/plugins/scheduling.ts";
import type { Clock, Timer } from "../../core/clock.ts";
import type { FlowMeters } from "./flow-metrics.ts";
import type { RunningRequest } from "./running-request.ts";

/** Requests called off in one round at most: their effect is awaited before the next. */
const maxVictims = 2;

/** A request that has not ended so long after it was called off is no longer waited for, ms. */
const confirmMs = 10_000;

/** Who waits, and for what. */
export interface Shortage {
  readonly priority: number;
  readonly endpoints: readonly SchedulableEndpoint[];
  readonly saturation: number;
  readonly ceiling: number;
}

/** What a reclaimer needs. */
export interface ReclaimOptions {
  readonly clock: Clock;
  readonly policy: EvictionPolicy;
  /** How long it takes until work that was called off shows in the saturation, ms. */
  readonly settleMs: number;
  readonly meters: FlowMeters;
  /** Undefined: nobody of the priority waits in vain any more. */
  readonly shortage: (model: string, priority: number) => Shortage | undefined;
  /** It may be looked again whether somebody waits in vain. */
  readonly onSettled: () => void;
}

/** Keeps the requests under way that may be called off. */
export class Reclaimer {
  readonly #options: ReclaimOptions;
  /** Those that may be called off and were not yet. */
  #first: RunningRequest | undefined;
  #size = 0;
  /** Called off and not ended. */
  #leaving = 0;
  #settling: Timer | undefined;
  #planned: Timer | undefined;

  constructor(options: ReclaimOptions) {
    this.#options = options;
  }

  /** Requests that may be called off. */
  get size(): number {
    return this.#size;
  }

  add(running: RunningRequest): void {
    if (!this.#options.policy.mayEvict(running)) return;
    this.#size++;
    running.next = this.#first;
    if (this.#first !== undefined) this.#first.previous = running;
    this.#first = running;
  }

  /** It has ended. */
  remove(running: RunningRequest): void {
    if (running.evictedAt !== undefined) return this.#left(running.evictedAt);
    if (running.previous !== undefined || this.#first === running) this.#unlink(running);
  }

  /** Somebody waits who may not go. Acts in a turn of its own, once the effect of the round before has shown. */
  wanted(model: string, priority: number): void {
    if (this.#size === 0 || this.#leaving > 0) return;
    if (this.#settling !== undefined || this.#planned !== undefined) return;
    this.#planned = this.#options.clock.after(0, () => {
      this.#planned = undefined;
      const shortage = this.#options.shortage(model, priority);
      if (shortage !== undefined) this.#reclaim(shortage);
    });
  }

  close(): void {
    this.#settling?.cancel();
    this.#planned?.cancel();
  }

  #reclaim({ priority, endpoints, saturation, ceiling }: Shortage): void {
    const target = saturation - ceiling;
    let requests = 0;
    for (const { load } of endpoints) requests += load.requests;
    if (requests === 0) return;
    const each = saturation / requests;
    const wanted = Math.min(maxVictims, Math.max(1, Math.ceil(target / each)));
    const victims = this.#choose(wanted, priority, endpoints);
    if (victims.length === 0) return;
    const { clock, settleMs, meters } = this.#options;
    const evictedAt = clock.now();
    for (const victim of victims) {
      this.#unlink(victim);
      victim.evictedAt = evictedAt;
      this.#leaving++;
      meters.revoked(victim.priority, target);
    }
    this.#settling = clock.after(settleMs, () => this.#settled());
    for (const { cancellation } of victims) cancellation.cancel("evicted");
  }

  #choose(
    count: number,
    priority: number,
    endpoints: readonly SchedulableEndpoint[],
  ): readonly RunningRequest[] {
    const { policy } = this.#options;
    const best: RunningRequest[] = [];
    for (let running = this.#first; running !== undefined; running = running.next) {
      if (running.priority >= priority || !endpoints.includes(running.endpoint)) continue;
      if (running.cancellation.reason !== undefined) continue;
      best.push(running);
      best.sort((a, b) => policy.compare(a, b));
      if (best.length > count) best.pop();
    }
    return best;
  }

  #left(evictedAt: number): void {
    const { clock, meters } = this.#options;
    const afterMs = clock.now() - evictedAt;
    if (afterMs < confirmMs) meters.revocationEnded("confirmed", afterMs);
    if (this.#leaving === 0) return;
    this.#leaving--;
    if (this.#leaving === 0 && this.#settling === undefined) this.#options.onSettled();
  }

  #settled(): void {
    const { clock, settleMs, meters } = this.#options;
    if (this.#leaving === 0) {
      this.#settling = undefined;
      this.#options.onSettled();
      return;
    }
    this.#settling = clock.after(Math.max(0, confirmMs - settleMs), () => {
      this.#settling = undefined;
      for (; this.#leaving > 0; this.#leaving--) meters.revocationEnded("timeout", confirmMs);
      this.#options.onSettled();
    });
  }

  #unlink(running: RunningRequest): void {
    this.#size--;
    const { previous, next } = running;
    if (previous === undefined) this.#first = next;
    else previous.next = next;
    if (next !== undefined) next.previous = previous;
    running.previous = undefined;
    running.next = undefined;
  }
}
