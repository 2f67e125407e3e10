/** How full servers are by their own metrics: requests that wait in them, and their KV cache. */
import * as z from "zod";
import type { SchedulableEndpoint } from "../../contracts/plugins/scheduling.ts";
import type { Clock } from "../../core/clock.ts";
import { definePlugin } from "../define-plugin.ts";
import { durationParameter } from "../duration-parameter.ts";
import { WeightedSaturation } from "./weighted-saturation.ts";

const parameters = z.lazy(() =>
  z.strictObject({
    /** Waiting requests at which a server is full. */
    queueDepthThreshold: z.number().int().min(1).max(1_000_000).default(5),
    /** Share of the KV cache at which it is full. */
    kvCacheUtilThreshold: z.number().positive().max(1).default(0.8),
    /** Metrics that are older say nothing. */
    metricsStalenessThreshold: durationParameter.default(200),
    headroom: z.number().min(0).max(10).default(0),
  }),
);

/** A server without a line begins what it is sent at once: up to this share of what it computes, and a few. */
const startsAtOnce = 0.25;

/** How long after the next page of metrics work that was called off has left a server, ms. */
const leavesWithinMs = 250;

/**
 * The larger of waiting/threshold and KV usage/threshold, as Endpoint Pickers have it, with what was sent since the last
 * page of metrics added to both; and never less than its own requests under way against its capacity.
 *
 * A server whose metrics are stale is held where it was: it may have as many requests of this gateway as it had when its
 * metrics were last fresh, one at least, so that work goes on but does not grow. One that never told anything is judged
 * by its capacity alone.
 */
class Utilization extends WeightedSaturation {
  readonly settleMs: number;
  readonly #options: z.output<typeof parameters>;
  /** Requests of this gateway at each server when its metrics were last fresh, by slot. */
  readonly #carried: number[] = [];
  #weighsByCache = false;

  constructor(options: z.output<typeof parameters>, clock: Clock) {
    super(clock, options.headroom);
    this.#options = options;
    this.settleMs = options.metricsStalenessThreshold + leavesWithinMs;
  }

  endpointSaturation(endpoint: SchedulableEndpoint, now: number): number {
    const { load, capacity, slot } = endpoint;
    const own = load.requests / capacity;
    if (this.#staleAt(endpoint) > now) {
      this.#carried[slot] = load.requests;
      return Math.max(own, this.#told(endpoint));
    }
    const isSilent = updatedAt(endpoint) === -Infinity;
    return isSilent ? own : Math.max(own, load.requests / Math.max(1, this.#carried[slot] ?? 0));
  }

  changesAt(endpoints: readonly SchedulableEndpoint[], now: number): number {
    let soonest = Infinity;
    for (const endpoint of endpoints) {
      const at = this.#staleAt(endpoint);
      if (at > now) soonest = Math.min(soonest, at);
    }
    return soonest;
  }

  stale(endpoints: readonly SchedulableEndpoint[], now: number): number {
    let count = 0;
    for (const endpoint of endpoints) if (this.#staleAt(endpoint) <= now) count++;
    return count;
  }

  override saturation(endpoints: readonly SchedulableEndpoint[], now: number): number {
    this.#weighsByCache = endpoints.every((endpoint) => cacheTokens(endpoint) > 0);
    return super.saturation(endpoints, now);
  }

  /** What a server's cache holds, in tokens, is what it can do; where some do not tell, their capacities. */
  protected override weightOf(endpoint: SchedulableEndpoint): number {
    if (this.#weighsByCache) return cacheTokens(endpoint);
    return Number.isFinite(endpoint.capacity) ? endpoint.capacity : 1;
  }

  #told({ signals, load }: SchedulableEndpoint): number {
    const { queueDepthThreshold, kvCacheUtilThreshold } = this.#options;
    const unseen = load.sentSinceScrape;
    const running = known(signals.running);
    const waiting = known(signals.waiting);
    const atOnce = waiting > 0 ? 0 : Math.max(queueDepthThreshold, running * startsAtOnce);
    const queue = (waiting + Math.max(0, unseen - atOnce)) / queueDepthThreshold;
    const usage = known(signals.kvUsage);
    const usageEach = running > 0 ? usage / running : 0;
    return Math.max(queue, (usage + unseen * usageEach) / kvCacheUtilThreshold);
  }

  #staleAt(endpoint: SchedulableEndpoint): number {
    return updatedAt(endpoint) + this.#options.metricsStalenessThreshold;
  }
}

/** When the server last told how it is, by either quantity. */
function updatedAt({ signals }: SchedulableEndpoint): number {
  return Math.max(signals.told.waiting, signals.told.kvUsage);
}

/** NaN where the server does not tell. */
function cacheTokens({ signals }: SchedulableEndpoint): number {
  return signals.blocks * signals.blockTokens;
}

function known(quantity: number): number {
  return Number.isNaN(quantity) ? 0 : quantity;
}

/** `utilization-detector` */
export const utilizationDetector = definePlugin({
  type: "utilization-detector",
  kinds: ["saturation", "filter"],
  summary:
    "How full servers are by their own metrics: waiting requests and KV cache, what was sent since counted in.",
  parameters,
  needs: { signals: ["waiting", "running", "kvUsage", "blocks", "blockTokens"] },
  create: (options, { clock }) => new Utilization(options, clock),
});
