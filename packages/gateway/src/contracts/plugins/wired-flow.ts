/** A flow control whose plugins are made. */
import type {
  EvictionPolicy,
  FairnessPolicy,
  OrderingPolicy,
  SaturationSignal,
  UsageLimitPolicy,
} from "./flow.ts";
import type { SignalName } from "./plugin.ts";
import type { Named } from "./wired-scheduling.ts";

/** Bounds and policies of one priority. */
export interface WiredBand {
  readonly maxRequests: number;
  readonly maxBytes: number;
  readonly maxTokens: number;
  /** How long a request waits that does not say, ms; `Infinity`: as long as its caller. */
  readonly ttlMs: number;
  /** Of this band alone. */
  readonly fairness: Named<FairnessPolicy>;
  readonly ordering: Named<OrderingPolicy>;
}

/** What a pool's flow control is made of. Of this pool alone. */
export interface WiredFlow {
  /** As `FlowSpec.mode`. */
  readonly mode: "wait" | "shed";
  readonly maxRequests: number;
  readonly maxBytes: number;
  readonly maxTokens: number;
  readonly noEndpointTtlMs: number;
  /** Priorities that have bands of their own. */
  readonly priorities: readonly number[];
  /** Makes the band of a priority. Called once for each. */
  band(priority: number): WiredBand;
  readonly saturation: Named<SaturationSignal>;
  readonly usageLimit: Named<UsageLimitPolicy>;
  readonly eviction: Named<EvictionPolicy> | undefined;
  /** Whether predicted tokens count, of which a body tells more than its length. */
  readonly needsBody: boolean;
  /** Quantities of servers' metrics that the plugins read. */
  readonly signals: ReadonlySet<SignalName>;
}
