/** Flow control as a test needs it: built-in policies, a pool of plain servers, requests that only wait. */
import type { Lease } from "../../src/contracts/lease.ts";
import type { BandSpec, FlowSpec } from "../../src/contracts/plugins/flow.ts";
import type { PluginDefinition } from "../../src/contracts/plugins/plugin.ts";
import type { SchedulableEndpoint } from "../../src/contracts/plugins/scheduling.ts";
import type { WiredFlow } from "../../src/contracts/plugins/wired-flow.ts";
import type { ScarcityRegime } from "../../src/contracts/scarcity.ts";
import type { Logger, Metrics } from "../../src/contracts/telemetry.ts";
import { Cancellation } from "../../src/core/cancellation.ts";
import type { Clock } from "../../src/core/clock.ts";
import { isFailure, type Failure } from "../../src/core/errors.ts";
import { createSeededRandom } from "../../src/core/random.ts";
import { plainTraits } from "../../src/core/request-traits.ts";
import type { InferenceRequest } from "../../src/core/request.ts";
import type { ForwardPayload } from "../../src/core/forward.ts";
import { createFlowPolicies } from "../../src/plugins/create-flow-policies.ts";
import { builtInPlugins } from "../../src/plugins/index.ts";
import { PluginRegistry } from "../../src/plugins/plugin-registry.ts";
import { createFlowControl, type FlowControl } from "../../src/stages/flowcontrol/create-flow-control.ts";
import { createMetrics } from "../../src/telemetry/index.ts";
import { createManualClock } from "../../src/testing.ts";
import { relayPayload } from "./forward-fixture.ts";

const silent: Logger = { error() {}, warn() {}, info() {}, debug() {} };

/** A band without bounds, first come first served. */
export const openBand: BandSpec = {
  maxRequests: Infinity,
  maxBytes: Infinity,
  maxTokens: Infinity,
  fairness: "global-strict-fairness-policy",
  ordering: "fcfs-ordering-policy",
};

/** A flow control without bounds, whose gate counts requests. */
export function flowSpec(more: Partial<FlowSpec> = {}): FlowSpec {
  return {
    plugins: [],
    maxRequests: Infinity,
    maxBytes: Infinity,
    maxTokens: Infinity,
    defaultTtlMs: 60_000,
    noEndpointTtlMs: 60_000,
    bands: [],
    defaultBand: openBand,
    defaultNegativeBand: more.defaultBand ?? openBand,
    saturation: "concurrency-detector",
    usageLimit: "static-usage-limit-policy",
    eviction: undefined,
    ...more,
  };
}

/** Policies of built-in plugins. */
export function wireFlow(
  spec: FlowSpec,
  clock: Clock = createManualClock(),
  metrics: Metrics = createMetrics(),
  more: readonly PluginDefinition[] = [],
): WiredFlow {
  const registry = new PluginRegistry([...builtInPlugins, ...more]);
  return createFlowPolicies(spec, registry, {
    clock,
    metrics,
    logger: silent,
    random: createSeededRandom(1),
  });
}

/** What a test may set. */
export interface FlowSetup {
  readonly spec?: Partial<FlowSpec>;
  readonly endpoints?: SchedulableEndpoint[];
  readonly regime?: () => ScarcityRegime;
  readonly plugins?: readonly PluginDefinition[];
}

/** What a request may say of itself. */
export interface WaitSetup {
  readonly id?: string;
  readonly tenant?: string;
  readonly model?: string;
  readonly priority?: number;
  readonly deadline?: number;
  readonly ttftSloMs?: number;
  readonly bytes?: number;
  readonly promptTokens?: number;
  readonly maxTokens?: number;
}

/** A request, and what became of it. */
export interface Waiting {
  readonly request: InferenceRequest<ForwardPayload>;
  readonly results: readonly (Lease | Failure)[];
  /** `waiting`, `granted`, or the code of a failure. */
  readonly state: string;
  readonly failure: Failure | undefined;
}

const lease: Lease = { enqueuedAt: 0, grantedAt: 0, settle: () => {} };

let made = 0;

/** A request as a door would make it. */
export function flowRequest(setup: WaitSetup = {}): InferenceRequest<ForwardPayload> {
  const { promptTokens = 10, maxTokens = 10 } = setup;
  return {
    id: setup.id ?? `request-${++made}`,
    model: setup.model ?? "m",
    version: undefined,
    caller: { id: "local", scopes: ["infer"] },
    receivedAt: 0,
    deadline: setup.deadline ?? Infinity,
    priority: setup.priority ?? 0,
    traits: {
      ...plainTraits,
      ...(setup.tenant === undefined ? {} : { fairnessId: setup.tenant }),
      ttftSloMs: setup.ttftSloMs,
    },
    payload: { ...relayPayload(), estimate: { promptTokens, maxCompletionTokens: maxTokens } },
    cancellation: new Cancellation(),
  };
}

/** A flow control with a pool, and what tests do with it. */
export class FlowRig {
  readonly clock = createManualClock();
  readonly metrics = createMetrics();
  readonly faults: string[] = [];
  readonly endpoints: SchedulableEndpoint[];
  readonly control: FlowControl;
  readonly all: Waiting[] = [];

  constructor({ spec = {}, endpoints = [], regime = () => "plenty", plugins }: FlowSetup = {}) {
    this.endpoints = endpoints;
    this.control = createFlowControl({
      pool: "chat",
      flow: wireFlow(flowSpec(spec), this.clock, this.metrics, plugins),
      clock: this.clock,
      metrics: this.metrics,
      onFault: (plugin) => this.faults.push(plugin),
    });
    let candidates = this.endpoints;
    this.control.attach({
      endpoints: this.endpoints,
      candidatesFor: () =>
        candidates.length === this.endpoints.length ? candidates : (candidates = [...this.endpoints]),
      scarcity: { regimeOf: regime, readings: () => [], inspect: () => ({}) },
    });
  }

  get line(): FlowControl["line"] {
    return this.control.line;
  }

  get gate(): FlowControl["gate"] {
    return this.control.gate;
  }

  join(setup: WaitSetup = {}): Waiting {
    const request = flowRequest(setup);
    const results: (Lease | Failure)[] = [];
    const waiting: Waiting = {
      request,
      results,
      get state() {
        const [result] = results;
        return result === undefined ? "waiting" : isFailure(result) ? result.code : "granted";
      },
      get failure() {
        const [result] = results;
        return result !== undefined && isFailure(result) ? result : undefined;
      },
    };
    this.all.push(waiting);
    const bound = { rows: 1, shapeKey: request.model, bytes: setup.bytes ?? 0 };
    this.line.join({ request, bound, done: (result) => results.push(result) });
    return waiting;
  }

  /** Grants up to so many; gives the ids in their order. */
  take(count = 1, fits?: (model: string, priority: number) => boolean): string[] {
    const ids: string[] = [];
    for (let i = 0; i < count; i++) {
      const [waiter] = this.line.take(fits === undefined ? { maxRows: 1 } : { maxRows: 1, fits });
      if (waiter === undefined) break;
      ids.push(waiter.request.id);
      waiter.grant(lease);
    }
    return ids;
  }
}

/** The value of a failure's header. */
export function headerOf(reason: Failure | undefined, name: string): string | undefined {
  return reason?.headers?.find(([each]) => each === name)?.[1];
}
