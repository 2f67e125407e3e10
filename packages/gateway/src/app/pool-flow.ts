/** Flow control of a pool, as its options describe it. */
import type { HttpPoolOptions } from "../contracts/options.ts";
import type { SignalName } from "../contracts/plugins/plugin.ts";
import { createFlowPolicies } from "../plugins/create-flow-policies.ts";
import type { PluginRegistry } from "../plugins/plugin-registry.ts";
import { createFlowControl, type FlowControl } from "../stages/flowcontrol/create-flow-control.ts";
import { createFaultLog } from "../stages/scheduling/fault-log.ts";
import type { GatewayContext } from "./options.ts";

/** A pool's flow control, and what its plugins read of servers' metrics. */
export interface PoolFlow {
  readonly control: FlowControl;
  readonly signals: ReadonlySet<SignalName>;
  /** As `WiredFlow.needsBody`. */
  readonly needsBody: boolean;
}

/**
 * Undefined for a pool without flow control. Throws a `GatewayError` (`bad_request`) that names the plugin, and the
 * parameter where one is at fault.
 */
export function createPoolFlow(
  { name, flow: spec }: HttpPoolOptions,
  plugins: PluginRegistry,
  { clock, random, logger, metrics }: GatewayContext,
): PoolFlow | undefined {
  if (spec === undefined) return undefined;
  const flow = createFlowPolicies(spec, plugins, { clock, random, logger, metrics });
  const onFault = createFaultLog(logger, clock);
  const control = createFlowControl({ pool: name, flow, clock, metrics, onFault });
  return { control, signals: flow.signals, needsBody: flow.needsBody };
}
