/** Plugins of flow control: which flow goes next, which request of it, how full the servers are, who may use what is left. */
import type { RequestTraits } from "../../core/request-traits.ts";
import type { ScarcityRegime } from "../scarcity.ts";
import type { PluginSpec } from "./plugin.ts";
import type { SchedulableEndpoint } from "./scheduling.ts";

/** A request in line, as policies see it. */
export interface WaitingItem {
  readonly id: string;
  readonly priority: number;
  readonly traits: RequestTraits;
  readonly enqueuedAt: number;
  /** When it leaves unserved; `Infinity`: only with its caller. */
  readonly deadline: number;
  readonly bytes: number;
  /** Prompt tokens and those the answer is expected to have. */
  readonly predictedTokens: number;
}

/** One tenant's requests of one priority. */
export interface Flow {
  readonly fairnessId: string;
  readonly priority: number;
  readonly length: number;
  /** A small number that no other waiting flow of the band has while this one waits; used again later. */
  readonly slot: number;
  /**
   * The request that goes first by the band's ordering, among those that may go now. Undefined: none of them may, since
   * the servers of its model are full.
   */
  head(): WaitingItem | undefined;
  /** For the policy's own use: what it has noted of this flow. */
  state: unknown;
}

/**
 * Which flow of a band goes next. `flows` holds those that wait, and all calls for one band come from one place, so a
 * policy may keep state; it is told of what comes and goes.
 */
export interface FairnessPolicy {
  /** True: flows are not told apart, the band's ordering alone decides, and nothing else here is called. Default false. */
  readonly ignoresFlows?: boolean;
  /** One of the flows that have a `head()`; undefined only where none has. */
  next(flows: FlowSet, now: number): Flow | undefined;
  /** A flow began to wait; `flow.state` is for the policy to set. */
  joined?(flow: Flow): void;
  /** Nothing of the flow waits any more. */
  left?(flow: Flow): void;
  /** A request of the flow was given its place: its head, or one close behind it that suits the server with room. */
  dispatched?(flow: Flow, item: WaitingItem, now: number): void;
  /**
   * What a request of this priority really used, once it has ended; also of those that never waited. `flow`: that of
   * its fairness id, where it waits now.
   */
  settled?(used: SettledWork, flow: Flow | undefined, now: number): void;
}

/** A request that has ended. */
export interface SettledWork {
  readonly fairnessId: string;
  readonly priority: number;
  /** True where it waited in line, so that the policy has charged it with `predictedTokens` when it left. */
  readonly waited: boolean;
  readonly predictedTokens: number;
  readonly promptTokens: number;
  /** Of the prompt, those that the server had in its cache. */
  readonly cachedTokens: number;
  readonly completionTokens: number;
}

/** The waiting flows of one band, in the order in which they began to wait. */
export interface FlowSet {
  readonly size: number;
  /** The flow at a place below `size`. Places shift when flows leave. */
  at(index: number): Flow;
  /**
   * When the `head()` of each flow joined, by the flow's slot; NaN where the flow has none that may go, and where no flow has
   * the slot. For policies that compare all flows: to ask each of a thousand for its head takes fifty times as long. Valid
   * during the call.
   */
  readonly headTimes: Float64Array;
}

/** Which request of a flow goes first. */
export interface OrderingPolicy {
  /** True: all ranks are equal, so that nothing has to be sorted. Default false. */
  readonly keepsArrivalOrder?: boolean;
  /** Smaller goes first; fixed for the time the request waits. Equal ranks go in the order of their arrival. */
  rank(item: WaitingItem): number;
}

/** How full the servers of a model are. */
export interface SaturationSignal {
  /**
   * 0: nothing to do, 1: full, above: more than full. Heterogeneous servers are weighed by what they can do; what was
   * sent since the last page of metrics counts. No endpoints: 1.
   */
  saturation(endpoints: readonly SchedulableEndpoint[], now: number): number;
  /** How full one server is, on the same scale. */
  endpointSaturation(endpoint: SchedulableEndpoint, now: number): number;
  /**
   * When the answer may change though nothing happens but that time passes: what the servers told gets stale. On the
   * clock; `Infinity`: never. Absent: never.
   */
  changesAt?(endpoints: readonly SchedulableEndpoint[], now: number): number;
  /** Servers whose metrics are missing or stale. Absent: metrics are not looked at. */
  stale?(endpoints: readonly SchedulableEndpoint[], now: number): number;
  /** How long it takes until work that was called off shows, ms: no more is called off before. Default 10. */
  readonly settleMs?: number;
}

/** Up to which saturation requests of a priority are given places. */
export interface UsageLimitPolicy {
  /**
   * `priorities` in descending order; writes one ceiling each into `ceilings`. Requests go while the saturation is
   * below it. Called for each decision, so that a policy may take turns.
   */
  ceilings(
    saturation: number,
    priorities: readonly number[],
    ceilings: Float64Array,
    regime: ScarcityRegime,
  ): void;
}

/** Which requests under way may be called off to make room, and in which order. */
export interface EvictionPolicy {
  mayEvict(item: WaitingItem): boolean;
  /** Negative: `a` goes before `b`. */
  compare(a: WaitingItem, b: WaitingItem): number;
}

/** Bounds and policies of one priority. */
export interface BandSpec {
  readonly maxRequests: number;
  readonly maxBytes: number;
  readonly maxTokens: number;
  /** How long its requests wait that do not say, ms. Absent: the flow control's `defaultTtlMs`. */
  readonly ttlMs?: number | undefined;
  /** Names of plugins. */
  readonly fairness: string;
  readonly ordering: string;
}

/** A whole flow control, as the configuration says it. */
export interface FlowSpec {
  /**
   * `wait`: requests wait while the servers are as full as their priority's ceiling. `shed`: nobody waits for
   * saturation to fall; requests below priority 0 are refused while the servers are full, others go as long as there is
   * room. Default `wait`.
   */
  readonly mode?: "wait" | "shed" | undefined;
  readonly plugins: readonly PluginSpec[];
  readonly maxRequests: number;
  readonly maxBytes: number;
  readonly maxTokens: number;
  /** How long a request waits that does not say, ms; `Infinity`: as long as its caller. */
  readonly defaultTtlMs: number;
  /** How long while the pool has no endpoint: a pool that scales from zero. */
  readonly noEndpointTtlMs: number;
  readonly bands: readonly (BandSpec & { readonly priority: number })[];
  /** Of priorities that no band is configured for: from 0 up, and below 0. */
  readonly defaultBand: BandSpec;
  readonly defaultNegativeBand: BandSpec;
  /** Names of plugins. */
  readonly saturation: string;
  readonly usageLimit: string;
  /** Undefined: what runs is never called off. */
  readonly eviction: string | undefined;
}
