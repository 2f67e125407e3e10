/** Plugins of the routing layer: rules that every request for a pool's models passes, in the order of the configuration. */
import type { Failure } from "../../core/errors.ts";
import type { ChatDialect, ForwardPayload, Operation, PromptReading } from "../../core/forward.ts";
import type { HeaderMap } from "../../core/headers.ts";
import type { Cancellation } from "../../core/cancellation.ts";
import type { PluginSpec } from "./plugin.ts";

/** A request on its way through the rules. */
export interface RoutedRequest {
  readonly id: string;
  /** As the caller named it; a rewrite changes it. */
  readonly model: string;
  /** As the caller sent them. */
  readonly headers: HeaderMap;
  /** Id of the caller's key, or `local`, or `anonymous`. */
  readonly callerId: string;
  readonly dialect: ChatDialect;
  readonly operation: Operation;
  /** With the changes of the rules before. */
  readonly payload: ForwardPayload;
  /**
   * What the caller sent; a failure (400) where it cannot be read. Undefined where the operation has no prompt, and for
   * rules whose definition does not say that it needs it (`PluginNeeds.prompt`).
   */
  readonly prompt: PromptReading | Failure | undefined;
  /** Called off when the caller leaves, the request's time is over, or the rule has taken longer than it may. */
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
  /**
   * At once, or later for rules that ask elsewhere. A failure: the rule could not do its work. That, a rule that
   * throws, and one that is late count by its `onFailure`.
   */
  apply(request: RoutedRequest): RuleResult | Failure | Promise<RuleResult | Failure>;
  /** `open`: the request goes on as it is. `closed`: it is refused. Where the configuration does not say. */
  readonly onFailure: "open" | "closed";
  /** Longest time for one request, ms, where the configuration does not say. What a rule does at once cannot be cut short. */
  readonly timeoutMs: number;
}

/** A rule as a configuration names it. */
export interface RuleSpec {
  readonly plugin: PluginSpec;
  /** Only for these: names of models as callers give them, or beginnings of names that end in `*`. Undefined: all. */
  readonly models: readonly string[] | undefined;
  /** Undefined: as the rule itself says. */
  readonly onFailure: RoutingRule["onFailure"] | undefined;
  readonly timeoutMs: number | undefined;
}

/** A rule that is ready to run. */
export interface ConfiguredRule {
  readonly spec: RuleSpec;
  readonly rule: RoutingRule;
  /** The rule reads texts of the prompt, or edits it. */
  readonly readsPrompt: boolean;
  /** The rule looks at more than headers and caller, or may change the body: its requests are to be here whole. */
  readonly needsBody: boolean;
}
