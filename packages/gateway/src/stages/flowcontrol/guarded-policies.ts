/** Policies of users' own may throw: then the line goes on without what they would have said. */
import type {
  EvictionPolicy,
  FairnessPolicy,
  OrderingPolicy,
  SaturationSignal,
  UsageLimitPolicy,
} from "../../contracts/plugins/flow.ts";
import type { Named } from "../../contracts/plugins/wired-scheduling.ts";

/** Hears of a plugin that has thrown. */
export type PolicyFault = (plugin: string, error: unknown) => void;

/** Runs a policy's method; what it comes to where that throws is `otherwise`. */
function attempt<T>(name: string, onFault: PolicyFault, otherwise: T, run: () => T): T {
  try {
    return run();
  } catch (error) {
    onFault(name, error);
    return otherwise;
  }
}

/** The flow that began to wait first goes where the policy throws. */
export function guardFairness({ name, plugin }: Named<FairnessPolicy>, onFault: PolicyFault): FairnessPolicy {
  return {
    next: (flows, now) => attempt(name, onFault, undefined, () => plugin.next(flows, now)),
    joined: (flow) => attempt(name, onFault, undefined, () => plugin.joined?.(flow)),
    left: (flow) => attempt(name, onFault, undefined, () => plugin.left?.(flow)),
    dispatched: (flow, item, now) =>
      attempt(name, onFault, undefined, () => plugin.dispatched?.(flow, item, now)),
    settled: (used, flow, now) => attempt(name, onFault, undefined, () => plugin.settled?.(used, flow, now)),
  };
}

/** A request goes last where the policy throws. */
export function guardOrdering({ name, plugin }: Named<OrderingPolicy>, onFault: PolicyFault): OrderingPolicy {
  return { rank: (item) => attempt(name, onFault, Infinity, () => plugin.rank(item)) };
}

/** Servers count as idle where the signal throws: their capacity is then all that bounds what they are sent. */
export function guardSaturation(
  { name, plugin }: Named<SaturationSignal>,
  onFault: PolicyFault,
): Named<SaturationSignal> {
  const guarded: SaturationSignal = {
    saturation: (endpoints, now) => attempt(name, onFault, 0, () => plugin.saturation(endpoints, now)),
    endpointSaturation: (endpoint, now) =>
      attempt(name, onFault, 0, () => plugin.endpointSaturation(endpoint, now)),
    changesAt: (endpoints, now) =>
      attempt(name, onFault, Infinity, () => plugin.changesAt?.(endpoints, now) ?? Infinity),
    stale: (endpoints, now) => attempt(name, onFault, 0, () => plugin.stale?.(endpoints, now) ?? 0),
    settleMs: plugin.settleMs ?? 10,
  };
  return { name, plugin: guarded };
}

/** Every priority may fill the servers where the policy throws. */
export function guardUsageLimit(
  { name, plugin }: Named<UsageLimitPolicy>,
  onFault: PolicyFault,
): Named<UsageLimitPolicy> {
  const guarded: UsageLimitPolicy = {
    ceilings(saturation, priorities, ceilings, regime) {
      try {
        plugin.ceilings(saturation, priorities, ceilings, regime);
      } catch (error) {
        onFault(name, error);
        ceilings.fill(1);
      }
    },
  };
  return { name, plugin: guarded };
}

/** Nothing is called off where the policy throws. */
export function guardEviction(
  { name, plugin }: Named<EvictionPolicy>,
  onFault: PolicyFault,
): Named<EvictionPolicy> {
  const guarded: EvictionPolicy = {
    mayEvict: (item) => attempt(name, onFault, false, () => plugin.mayEvict(item)),
    compare: (a, b) => attempt(name, onFault, 0, () => plugin.compare(a, b)),
  };
  return { name, plugin: guarded };
}
