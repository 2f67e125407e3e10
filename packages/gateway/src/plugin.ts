/**
 * `@spillway/gateway/plugin`: what a plugin of one's own is written with. A file that a configuration names under `plugins`
 * exports as default what `definePlugin` gives, or a list of such; `spillway/plugin` is another name for this module
 * there. docs/guides/custom-scorer.md writes one.
 */

// A definition, and the schema of its parameters.
export { definePlugin } from "./plugins/define-plugin.ts";
export * as z from "zod";
export { pluginKinds } from "./contracts/plugins/plugin.ts";
export type {
  DataKey,
  PluginDefinition,
  PluginHost,
  PluginKind,
  PluginNeeds,
  PluginSpec,
} from "./contracts/plugins/plugin.ts";

// Scheduling: filters, scorers, pickers, handlers of profiles, producers of what they read.
export type {
  Candidates,
  Filter,
  Picker,
  PrefixMatch,
  Producer,
  ProfileHandler,
  ProfileResult,
  RequestObserver,
  SchedulableEndpoint,
  ScheduledRequest,
  Scorer,
  ServedEnd,
} from "./contracts/plugins/scheduling.ts";
export type { EndpointLoad, ServerSignals } from "./core/server-signals.ts";
export type { RequestTraits } from "./core/request-traits.ts";

// Flow control: who goes next, how full the servers are.
export type {
  EvictionPolicy,
  FairnessPolicy,
  Flow,
  FlowSet,
  OrderingPolicy,
  SaturationSignal,
  UsageLimitPolicy,
  WaitingItem,
} from "./contracts/plugins/flow.ts";

// The data layer: where endpoints come from, and what is read of their pages of metrics.
export type {
  DiscoveredEndpoint,
  DiscoveryListener,
  EndpointDiscovery,
  PageExtractor,
} from "./contracts/plugins/data.ts";

// Routing: rules that requests pass.
export type { RoutedRequest, RoutingRule, RuleResult } from "./contracts/plugins/rule.ts";
export type { CalloutAnswer, CalloutFactory, CalloutTarget, HttpCallout } from "./contracts/http-callout.ts";
export type { Cancellation } from "./core/cancellation.ts";
export type { ForwardPayload, PromptEdit, PromptReading, PromptText } from "./core/forward.ts";

// What a plugin is given of the machine, and how it says that it cannot be made.
export { failure, GatewayError, isFailure } from "./core/errors.ts";
export type { Failure } from "./core/errors.ts";
export type { Clock } from "./core/clock.ts";
export type { Random } from "./core/random.ts";
export type { Logger, Metrics } from "./contracts/telemetry.ts";
