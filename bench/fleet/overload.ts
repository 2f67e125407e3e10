/** More than the fleet can do, for callers of two priorities. */
import type { FlowSpec } from "../../packages/gateway/src/contracts/plugins/flow.ts";
import { cacheAwareScheduling } from "../../packages/gateway/src/plugins/default-scheduling.ts";
import { parameterOf, readWorkload } from "../harness/workload.ts";
import type { Workload } from "../harness/workload.ts";
import { highestRate } from "./find-capacity.ts";
import type { FleetRequest } from "./fleet-request.ts";
import { gatewayRouter } from "./gateway-router.ts";
import { startLoad } from "./load-case.ts";
import type { PartialLoad } from "./load-case.ts";
import { roundRobin } from "./reference-routers.ts";
import type { RouterKind } from "./router.ts";
import { isGood } from "./run-case.ts";
import type { ServerSettings } from "./settings.ts";
import { Simulation } from "./simulation.ts";
import { jain, mean, quantile } from "./statistics.ts";

/** `bench/workloads/fleet-overload.json`. */
export interface OverloadWorkload extends Workload {
  readonly seeds: readonly number[];
  readonly urgent: PartialLoad;
  readonly tenants: readonly (PartialLoad & { readonly share: number })[];
}

/** What a run is made from. */
export interface OverloadBench {
  readonly workload: OverloadWorkload;
  readonly settings: ServerSettings;
  readonly seed: number;
  /** Share of the workload's times that is run. */
  readonly scale: number;
}

/** What callers saw. */
export interface OverloadResult {
  /** Of urgent requests, ms. */
  readonly urgentTtftP99: number;
  readonly urgentRequests: number;
  readonly urgentRefused: number;
  /** Answers a second with the first token within a second and 50 ms a token at most. */
  readonly goodput: number;
  /** Their tokens, a second: who gets how many answers changes with the shares, tokens cost the same. */
  readonly goodTokens: number;
  /** Jain's index over the tenants' tokens, by window. */
  readonly fairness: readonly number[];
  readonly refusedShare: number;
  readonly waitP99: number;
}

/** Reads the workload. */
export async function readOverload(): Promise<OverloadWorkload> {
  return (await readWorkload("fleet-overload")) as OverloadWorkload;
}

/** The flow control that the figure runs: a configuration as anybody would write it. */
export function overloadFlow(workload: OverloadWorkload): FlowSpec {
  const band = {
    maxRequests: 10_000,
    maxBytes: Number.POSITIVE_INFINITY,
    maxTokens: Number.POSITIVE_INFINITY,
    fairness: "deficit-round-robin-fairness-policy",
    ordering: "fcfs-ordering-policy",
  };
  const ceiling = parameterOf(workload, "ceiling");
  return {
    plugins: [
      {
        name: "priority-holdback-policy",
        type: "priority-holdback-policy",
        parameters: { minCeiling: ceiling, maxCeiling: 1 },
      },
    ],
    maxRequests: 20_000,
    maxBytes: Number.POSITIVE_INFINITY,
    maxTokens: Number.POSITIVE_INFINITY,
    defaultTtlMs: 10_000,
    noEndpointTtlMs: 10_000,
    bands: [
      { ...band, priority: 10 },
      { ...band, priority: 0, ttlMs: parameterOf(workload, "ttlMs") },
    ],
    defaultBand: band,
    defaultNegativeBand: band,
    saturation: "concurrency-detector",
    usageLimit: "priority-holdback-policy",
    eviction: undefined,
  };
}

/** The gateway with that flow control, and a count of seats a server. */
export function overloadRouter(workload: OverloadWorkload): RouterKind {
  return gatewayRouter("gateway", {
    scheduling: cacheAwareScheduling,
    flow: overloadFlow(workload),
    concurrency: parameterOf(workload, "maxSequences"),
  });
}

/** `overload` times capacity. */
export function runOverload(bench: OverloadBench): OverloadResult {
  const { workload } = bench;
  const capacity = parameterOf(workload, "capacity");
  const urgent = parameterOf(workload, "urgentShare") * capacity;
  const rest = parameterOf(workload, "overload") * capacity - urgent;
  return run(bench, overloadRouter(workload), [
    { load: urgentOf(workload), rate: urgent },
    ...workload.tenants.map((load) => ({ load, rate: load.share * rest })),
  ]);
}

/** A tenth of capacity, all urgent. */
export function runUnloaded(bench: OverloadBench): OverloadResult {
  const { workload } = bench;
  const rate = parameterOf(workload, "unloaded") * parameterOf(workload, "capacity");
  return run(bench, overloadRouter(workload), [{ load: urgentOf(workload), rate }]);
}

/** Highest rate of the mix at which round robin's queue wait p99 stays under the bound. */
export function findMixCapacity(workload: OverloadWorkload, settings: ServerSettings): number {
  const urgent = parameterOf(workload, "urgentShare");
  const waitAt = (rate: number): number =>
    mean(
      workload.seeds.map((seed) => {
        const each = ((1 - urgent) * rate) / workload.tenants.length;
        return run({ workload, settings, seed, scale: 1 }, roundRobin, [
          { load: urgentOf(workload), rate: urgent * rate },
          ...workload.tenants.map((load) => ({ load, rate: each })),
        ]).waitP99;
      }),
    );
  return highestRate(waitAt, parameterOf(workload, "queueWaitP99Ms"));
}

/** Tokens of answers a second at capacity. */
export function capacityTokens(workload: OverloadWorkload): number {
  const urgent = parameterOf(workload, "urgentShare");
  const meanOf = (load: PartialLoad): number => {
    const [least, most] = load.output;
    return (most - least) / Math.log(most / least);
  };
  const tenants = mean(workload.tenants.map(meanOf));
  return parameterOf(workload, "capacity") * (urgent * meanOf(workload.urgent) + (1 - urgent) * tenants);
}

function urgentOf({ urgent }: OverloadWorkload): PartialLoad {
  return { ...urgent, priority: 10 };
}

function run(
  { workload, settings, seed, scale }: OverloadBench,
  router: RouterKind,
  loads: readonly { readonly load: PartialLoad; readonly rate: number }[],
): OverloadResult {
  const of = (name: string): number => parameterOf(workload, name);
  const from = of("warmUpSeconds") * 1000 * scale;
  const until = from + of("seconds") * 1000 * scale;
  const engine = { ...settings.engine, maxSequences: of("maxSequences") };
  const simulation = new Simulation({
    engines: Array.from({ length: of("servers") }, () => engine),
    surroundings: {
      ...settings.surroundings,
      admissionMs: of("admissionMs"),
      deliveryMs: of("deliveryMs"),
    },
    router,
    seed,
  });
  for (const [at, { load, rate }] of loads.entries())
    startLoad(simulation, load, { ratePerSecond: rate, untilMs: until, seed: seed + 100 * at });
  simulation.runUntil(until);
  simulation.finish();
  const counted = simulation.requests.filter(({ arrivedAt }) => arrivedAt >= from && arrivedAt < until);
  return {
    ...resultOf(counted, (until - from) / 1000),
    fairness: fairnessOf(workload, simulation.requests, { from, until }),
  };
}

function resultOf(requests: readonly FleetRequest[], seconds: number): Omit<OverloadResult, "fairness"> {
  const urgent = requests.filter(({ ask }) => ask.tenant === "urgent");
  const served = requests.filter(({ end }) => end === "finished");
  const good = requests.filter(isGood);
  return {
    urgentTtftP99: quantile(
      urgent.filter(({ end }) => end === "finished").map(({ ttftMs }) => ttftMs),
      0.99,
    ),
    urgentRequests: urgent.length,
    urgentRefused: urgent.filter(({ end }) => end === "refused").length,
    goodput: good.length / seconds,
    goodTokens: good.reduce((sum, { produced }) => sum + produced, 0) / seconds,
    refusedShare: 1 - served.length / requests.length,
    waitP99: quantile(
      served.map(({ waitedMs }) => waitedMs),
      0.99,
    ),
  };
}

/** Jain's index over the tokens, of prompts and answers, of the tenants' requests that were served, by window of their begin. */
function fairnessOf(
  workload: OverloadWorkload,
  requests: readonly FleetRequest[],
  { from, until }: { from: number; until: number },
): number[] {
  const window = parameterOf(workload, "windowSeconds") * 1000;
  const indices: number[] = [];
  for (let start = from; start + window <= until; start += window) {
    const tokens = workload.tenants.map(({ name }) =>
      requests
        .filter(({ ask, sentAt }) => ask.tenant === name && sentAt >= start && sentAt < start + window)
        .reduce((sum, { ask, produced }) => sum + ask.text.tokens + produced, 0),
    );
    indices.push(jain(tokens));
  }
  return indices;
}
