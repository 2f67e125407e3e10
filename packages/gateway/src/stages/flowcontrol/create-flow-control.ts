/** A pool's flow control: its line, and the gate that says when the line moves. */
import type { LineCost } from "../../contracts/line.ts";
import type { WiredFlow } from "../../contracts/plugins/wired-flow.ts";
import type { Metrics } from "../../contracts/telemetry.ts";
import type { Clock } from "../../core/clock.ts";
import type { ForwardPayload } from "../../core/forward.ts";
import { FlowMeters } from "./flow-metrics.ts";
import { FlowRules } from "./flow-rules.ts";
import { guardEviction, guardSaturation, guardUsageLimit, type PolicyFault } from "./guarded-policies.ts";
import { RequestLine } from "./line.ts";
import { PoolGate, type GatedPool } from "./pool-gate.ts";
import { PredictedWork } from "./predicted-work.ts";

/** What a flow control needs. */
export interface FlowControlOptions {
  /** The pool's name. */
  readonly pool: string;
  readonly flow: WiredFlow;
  readonly clock: Clock;
  readonly metrics: Metrics;
  /** A plugin has thrown. */
  readonly onFault: PolicyFault;
}

/** The two ends of it. */
export interface FlowControl {
  readonly line: RequestLine<ForwardPayload, LineCost>;
  readonly gate: PoolGate;
  /** To be called once, with the pool that line and gate are of. */
  attach(pool: GatedPool): void;
  /** Timers are stopped, and the pool's numbers no longer told. Idempotent. */
  close(): void;
}

/** Nothing goes until a pool is attached. */
export function createFlowControl({ pool, flow, clock, metrics, onFault }: FlowControlOptions): FlowControl {
  const work = new PredictedWork();
  const isEmpty = (): boolean => gate.isEmpty;
  const meters = new FlowMeters(metrics, pool, isEmpty);
  const rules = new FlowRules({ flow, work, observer: meters, isEmpty, onFault });
  const line = new RequestLine<ForwardPayload, LineCost>({
    clock,
    maxQueue: Infinity,
    onRefused: () => {},
    rules,
  });
  const gate = new PoolGate({
    flow: {
      mode: flow.mode,
      saturation: guardSaturation(flow.saturation, onFault),
      usageLimit: guardUsageLimit(flow.usageLimit, onFault),
      eviction: flow.eviction && guardEviction(flow.eviction, onFault),
    },
    clock,
    work,
    meters,
    priorities: () => rules.priorities,
    bandOf: (priority) => rules.bandOf(priority),
    onSettled: (used) => line.settled(used),
  });
  return { line, gate, ...published(flow, { line, gate, meters }, metrics) };
}

interface Parts {
  readonly line: RequestLine<ForwardPayload, LineCost>;
  readonly gate: PoolGate;
  readonly meters: FlowMeters;
}

/** Tells numbers that are read rather than counted, from `attach` to `close`. */
function published(
  flow: WiredFlow,
  { line, gate, meters }: Parts,
  metrics: Metrics,
): Pick<FlowControl, "attach" | "close"> {
  let isOpen = false;
  let stale = 0;
  const staleGauge = meters.staleGauge(flow.saturation.name);
  // Pools with one signal share its gauge: each adds what has changed.
  const tellStale = (count: number): void => {
    staleGauge.value += count - stale;
    stale = count;
  };
  metrics.onCollect(() => {
    if (!isOpen) return;
    tellStale(gate.staleEndpoints);
    meters.read({
      saturation: gate.saturation,
      requests: shareOf(line.length, flow.maxRequests),
      bytes: shareOf(line.bytes, flow.maxBytes),
      bands: line.bands.map(({ priority, length, bytes, rules }) => ({
        priority,
        requests: shareOf(length, rules.maxRequests) ?? 0,
        bytes: shareOf(bytes, rules.maxBytes) ?? 0,
      })),
    });
  });
  return {
    attach(pool) {
      gate.attach(pool);
      isOpen = true;
    },
    close() {
      gate.close();
      if (isOpen) tellStale(0);
      isOpen = false;
    },
  };
}

/** Undefined where there is no bound. */
function shareOf(held: number, bound: number): number | undefined {
  return Number.isFinite(bound) && bound > 0 ? held / bound : undefined;
}
