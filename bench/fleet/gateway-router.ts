/** The gateway's own scheduling and flow control before the simulated servers. */
import type { ForwardDecision } from "../../packages/gateway/src/contracts/http-endpoint.ts";
import type { FlowSpec } from "../../packages/gateway/src/contracts/plugins/flow.ts";
import type { SchedulingSpec } from "../../packages/gateway/src/contracts/plugins/scheduling.ts";
import type { Logger } from "../../packages/gateway/src/contracts/telemetry.ts";
import { isFailure } from "../../packages/gateway/src/core/errors.ts";
import type { Failure } from "../../packages/gateway/src/core/errors.ts";
import { createSeededRandom } from "../../packages/gateway/src/core/random.ts";
import { countPageArrived, countPageAsked } from "../../packages/gateway/src/core/server-signals.ts";
import { createFlowPolicies } from "../../packages/gateway/src/plugins/create-flow-policies.ts";
import { createProfiles } from "../../packages/gateway/src/plugins/create-profiles.ts";
import { builtInPlugins } from "../../packages/gateway/src/plugins/index.ts";
import { PluginRegistry } from "../../packages/gateway/src/plugins/plugin-registry.ts";
import { createFlowControl } from "../../packages/gateway/src/stages/flowcontrol/create-flow-control.ts";
import { createScheduling } from "../../packages/gateway/src/stages/scheduling/create-scheduling.ts";
import { createMetrics } from "../../packages/gateway/src/telemetry/index.ts";
import type { FleetRequest } from "./fleet-request.ts";
import type { FleetServer } from "./fleet-server.ts";
import { baseModel, FleetEndpoint, FleetPool, inferenceRequest } from "./gateway-pool.ts";
import type { Fleet, Router, RouterKind } from "./router.ts";

/** How the gateway is set. */
export interface GatewaySetup {
  readonly scheduling: SchedulingSpec;
  /** Requests at a server at most. Default: 1,024, as the configuration has it for pools whose metrics are read. */
  readonly concurrency?: number;
  /** Absent: a line that is first come first served, and moves as servers have room. */
  readonly flow?: FlowSpec;
}

const silent: Logger = { error() {}, warn() {}, info() {}, debug() {} };

/** The gateway with a scheduling layer of its plugins. */
export function gatewayRouter(name: string, setup: GatewaySetup): RouterKind {
  return { name, create: (fleet) => new GatewayRouter(fleet, setup) };
}

class GatewayRouter implements Router {
  readonly #fleet: Fleet;
  readonly #pool: FleetPool;
  readonly #scheduling: ReturnType<typeof createScheduling>;
  /** Decisions of the requests under way, by their index. */
  readonly #decisions = new Map<number, ForwardDecision>();

  constructor(fleet: Fleet, { scheduling, flow, concurrency = 1_024 }: GatewaySetup) {
    const { clock } = fleet;
    this.#fleet = fleet;
    const registry = new PluginRegistry(builtInPlugins);
    // A plugin that throws is a flaw of the gateway: a simulation of it would say nothing.
    const onFault = (plugin: string, error: unknown): never => {
      throw new Error(`plugin ${plugin} has thrown`, { cause: error });
    };
    const host = {
      clock,
      random: createSeededRandom(Math.floor(fleet.random.unit() * 2 ** 32)),
      logger: silent,
      metrics: createMetrics(),
    };
    const control =
      flow &&
      createFlowControl({
        pool: "fleet",
        flow: createFlowPolicies(flow, registry, host),
        clock,
        metrics: host.metrics,
        onFault,
      });
    this.#pool = new FleetPool(fleet.servers, { capacity: concurrency, clock, ...control });
    control?.attach(this.#pool);
    this.#scheduling = createScheduling({
      clock,
      defaultProfiles: () => createProfiles(scheduling, registry, host),
      onFault,
    });
  }

  arrive(request: FleetRequest): void {
    const asked = inferenceRequest(request);
    const route = { pool: this.#pool, model: request.ask.adapter ?? baseModel };
    const decided = (decision: ForwardDecision | Failure): void => this.#send(request, decision);
    const decision = this.#scheduling.decide(route, asked);
    if (decision === undefined) this.#scheduling.wait(route, asked, decided);
    else decided(decision);
  }

  firstToken(request: FleetRequest): void {
    const decision = this.#decisionOf(request);
    decision.lease.firstToken?.(decision.endpoints[0]);
  }

  ended(request: FleetRequest): void {
    const { lease, endpoints, request: asked } = this.#decisionOf(request);
    this.#decisions.delete(request.index);
    const { ask, produced, cachedTokens } = request;
    const usage = {
      promptTokens: ask.text.tokens,
      completionTokens: produced,
      cachedTokens,
      estimated: false,
    };
    asked.usage = usage;
    lease.release(endpoints[0], {
      kind: "ok",
      status: 200,
      retryAfterMs: undefined,
      firstTokenMs: request.firstTokenAt - request.sentAt,
      durationMs: request.endedAt - request.sentAt,
      usage,
    });
    lease.settle("ok");
  }

  scrapeBegins({ index }: FleetServer): void {
    const endpoint = this.#pool.endpoints[index];
    if (endpoint !== undefined) countPageAsked(endpoint.load);
  }

  scraped({ index }: FleetServer): void {
    const endpoint = this.#pool.endpoints[index];
    if (endpoint !== undefined) countPageArrived(endpoint.load);
    this.#pool.gate?.changed();
  }

  #send(request: FleetRequest, decision: ForwardDecision | Failure): void {
    if (isFailure(decision)) return this.#fleet.refuse(request);
    const [endpoint] = decision.endpoints;
    if (!(endpoint instanceof FleetEndpoint)) throw new TypeError("an endpoint of another pool");
    this.#decisions.set(request.index, decision);
    endpoint.server.send(request);
  }

  #decisionOf({ index }: FleetRequest): ForwardDecision {
    const decision = this.#decisions.get(index);
    if (decision === undefined) throw new Error(`request ${index} was not sent`);
    return decision;
  }
}
