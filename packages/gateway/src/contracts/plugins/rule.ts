/** Plugins of the routing layer: rules that every request for a pool's models passes, in the order of the configuration. */
import type { Failure } from "../../core/errors.ts";
import type { ChatDialect, ForwardPayload, Operation } from "../../core/forward.ts";
import type { HeaderMap } from "../../core/headers.ts";
import type { Cancellation } from "../../core/cancellation.ts";

/** A request on its way through the rules. */
export interface RoutedRequest {
  readonly id: string;
  /** As the caller named it; a rewrite changes it. */
  readonly model: string;
  readonly headers: HeaderMap;
  readonly callerId: string;
  readonly dialect: ChatDialect;
  readonly operation: Operation;
  readonly payload: ForwardPayload;
  readonly cancellation: Cancellation;
}

/** What a rule does to a request; an empty object: nothing. */
export interface RuleResult {
  /** Another model instead. */
  readonly model?: string;
  /** Another pool than the one that serves the model first. */
  readonly pool?: string;
  /** The body with a change: made by `ForwardPayload.edited`. */
  readonly payload?: ForwardPayload;
  readonly priority?: number;
  readonly fairnessId?: string;
  /** The request goes no further. */
  readonly refusal?: Failure;
  /** For people, in the decision: `weight 9 of 10 → qwen-7b`. */
  readonly note?: string;
}

/** One rule. */
export interface RoutingRule {
  /** False: the rule does not look at this request, and costs nothing. */
  applies(request: RoutedRequest): boolean;
  /** At once, or later for rules that ask elsewhere. A rule that throws, or is late, counts by its `onFailure`. */
  apply(request: RoutedRequest): RuleResult | Promise<RuleResult>;
  /** `open`: the request goes on as it is. `closed`: it is refused. */
  readonly onFailure: "open" | "closed";
  /** Longest time for one request, ms. */
  readonly timeoutMs: number;
}

/** What a rule did to a request: part of the decision that is told. */
export interface RuleTrace {
  readonly rule: string;
  readonly tookMs: number;
  readonly result: "passed" | "changed" | "refused" | "failed" | "late";
  readonly note: string | undefined;
}
