/** Suites for the policies of flow control. */
import type {
  EvictionPolicy,
  FairnessPolicy,
  Flow,
  FlowSet,
  OrderingPolicy,
  SaturationSignal,
  UsageLimitPolicy,
  WaitingItem,
} from "../../contracts/plugins/flow.ts";
import type { PluginDefinition } from "../../contracts/plugins/plugin.ts";
import { scarcityRegimes } from "../../contracts/scarcity.ts";
import { createSeededRandom, type Random } from "../../core/random.ts";
import { plainTraits } from "../../core/request-traits.ts";
import { expect, type ContractCheck, type ContractOptions } from "./contract-check.ts";
import { flavours, sampleEndpoints } from "./sample-endpoints.ts";
import { createAlone, sampleNow } from "./sample-host.ts";

function sampleItems(count: number, random: Random, fairnessId = "tenant"): readonly WaitingItem[] {
  return Array.from({ length: count }, (_, index) =>
    Object.freeze({
      id: `${fairnessId}-${index}`,
      priority: Math.floor(random.unit() * 5) - 2,
      traits: Object.freeze({
        ...plainTraits,
        fairnessId,
        ttftSloMs: random.unit() < 0.5 ? undefined : Math.floor(random.unit() * 5_000),
      }),
      enqueuedAt: sampleNow + index,
      deadline: random.unit() < 0.3 ? Infinity : sampleNow + Math.floor(random.unit() * 60_000),
      bytes: Math.floor(random.unit() * 100_000),
      predictedTokens: 1 + Math.floor(random.unit() * 4_000),
    }),
  );
}

class SampleFlow implements Flow {
  readonly fairnessId: string;
  readonly priority = 0;
  readonly slot: number;
  readonly items: WaitingItem[];
  state: unknown;

  constructor(slot: number, items: readonly WaitingItem[]) {
    this.fairnessId = `t${slot}`;
    this.slot = slot;
    this.items = [...items];
  }

  get length(): number {
    return this.items.length;
  }

  head(): WaitingItem | undefined {
    return this.items[0];
  }
}

/** Everybody who waits gets a turn, and only who waits. */
export function fairnessSuite(definition: PluginDefinition, options: ContractOptions): ContractCheck[] {
  const make = (seed = 1): FairnessPolicy => createAlone(definition, options, seed) as FairnessPolicy;
  return [
    {
      name: `${definition.type} as a fairness policy: names a flow that waits, until none does`,
      run: () => void serveAll(make(), [3, 40, 1, 12]),
    },
    {
      name: `${definition.type} as a fairness policy: nobody waits`,
      run: () =>
        expect(make().next(flowSet([]), sampleNow) === undefined, "it named a flow where there is none"),
    },
    {
      name: `${definition.type} as a fairness policy: 200 flows, the same order each time`,
      run: () => {
        const counts = Array.from({ length: 200 }, (_, index) => 1 + (index % 5));
        const [one, two] = [serveAll(make(5), counts), serveAll(make(5), counts)];
        expect(one.join() === two.join(), "two runs with the same seed differ");
      },
    },
  ];
}

function flowSet(flows: readonly Flow[]): FlowSet {
  const headTimes = new Float64Array(256).fill(NaN);
  for (const flow of flows) headTimes[flow.slot] = flow.head()?.enqueuedAt ?? NaN;
  return {
    size: flows.length,
    headTimes,
    at(index) {
      const flow = flows[index];
      expect(flow !== undefined, `it asked for flow ${index} of ${flows.length}`);
      return flow;
    },
  };
}

/** Gives places one after the other, as flow control does. Returns whose turn it was. */
function serveAll(policy: FairnessPolicy, counts: readonly number[]): readonly string[] {
  if (policy.ignoresFlows === true) return [];
  const random = createSeededRandom(3);
  const flows = counts.map((count, index) => new SampleFlow(index, sampleItems(count, random, `t${index}`)));
  const waiting = [...flows];
  const order: string[] = [];
  let now = sampleNow;
  for (const flow of waiting) policy.joined?.(flow);
  const all = counts.reduce((sum, count) => sum + count, 0);
  while (waiting.length > 0) {
    now += 5;
    expect(order.length < all, "it goes on although nobody waits");
    const next = policy.next(flowSet(waiting), now);
    const flow = waiting.find((each) => each === next);
    expect(
      flow !== undefined,
      next === undefined ? "it named no flow although some wait" : "it named a flow that does not wait",
    );
    const item = flow.items.shift();
    expect(item !== undefined, "it named an empty flow");
    order.push(flow.fairnessId);
    policy.dispatched?.(flow, item, now);
    if (flow.length === 0) {
      waiting.splice(waiting.indexOf(flow), 1);
      policy.left?.(flow);
    }
    const settled = {
      fairnessId: flow.fairnessId,
      priority: 0,
      waited: true,
      predictedTokens: item.predictedTokens,
    };
    const used = { promptTokens: 100, cachedTokens: 20, completionTokens: 30 };
    policy.settled?.({ ...settled, ...used }, flow.length === 0 ? undefined : flow, now + 2);
  }
  return order;
}

/** Every request has a rank, which stays. */
export function orderingSuite(definition: PluginDefinition, options: ContractOptions): ContractCheck[] {
  return [
    {
      name: `${definition.type} as an ordering policy: a rank for every request, which stays`,
      run: () => {
        const policy = createAlone(definition, options, 1) as OrderingPolicy;
        const items = sampleItems(500, createSeededRandom(2));
        const ranks = items.map((item) => policy.rank(item));
        for (const [index, rank] of ranks.entries()) {
          expect(typeof rank === "number" && !Number.isNaN(rank), `the rank of a request is ${rank}`);
          const item = items[index];
          expect(
            item === undefined || policy.rank(item) === rank,
            "the rank of a request changes while it waits",
          );
        }
      },
    },
  ];
}

/** From 0 to full and above, for the whole and for each server; nobody is full, not empty. */
export function saturationSuite(definition: PluginDefinition, options: ContractOptions): ContractCheck[] {
  const name = `${definition.type} as a saturation signal`;
  const make = (): SaturationSignal => createAlone(definition, options, 1) as SaturationSignal;
  return [
    {
      name: `${name}: a number of at least 0, with metrics and without`,
      run: () => {
        const signal = make();
        for (const flavour of flavours) {
          const endpoints = sampleEndpoints(50, { flavour, random: createSeededRandom(4), now: sampleNow });
          const all = signal.saturation(endpoints, sampleNow);
          expect(all >= 0 && Number.isFinite(all), `the saturation of ${flavour} servers is ${all}`);
          for (const endpoint of endpoints) {
            const one = signal.endpointSaturation(endpoint, sampleNow);
            expect(one >= 0 && Number.isFinite(one), `the saturation of a server is ${one}`);
          }
          expect(signal.saturation(endpoints, sampleNow) === all, "it changes although nothing else does");
        }
      },
    },
    {
      name: `${name}: without servers it is 1`,
      run: () => {
        const empty = make().saturation([], sampleNow);
        expect(empty === 1, `without servers it is ${empty}; expected 1`);
      },
    },
  ];
}

/** A ceiling for every priority, none above that of a higher one. */
export function usageLimitSuite(definition: PluginDefinition, options: ContractOptions): ContractCheck[] {
  return [
    {
      name: `${definition.type} as a usage limit: a ceiling for every priority, none above that of a higher one`,
      run: () => {
        const policy = createAlone(definition, options, 1) as UsageLimitPolicy;
        for (const priorities of [[0], [100, 0, -10], Array.from({ length: 50 }, (_, index) => 25 - index)]) {
          for (const regime of scarcityRegimes) {
            for (let step = 0; step <= 30; step++)
              expectCeilings(policy, priorities, { saturation: step / 15, regime });
          }
        }
      },
    },
  ];
}

function expectCeilings(
  policy: UsageLimitPolicy,
  priorities: readonly number[],
  { saturation, regime }: { readonly saturation: number; readonly regime: (typeof scarcityRegimes)[number] },
): void {
  const ceilings = new Float64Array(priorities.length + 2).fill(Number.NaN);
  policy.ceilings(saturation, priorities, ceilings, regime);
  for (const index of priorities.keys()) {
    const ceiling = ceilings[index] ?? Number.NaN;
    expect(ceiling >= 0, `the ceiling of priority ${priorities[index] ?? 0} is ${ceiling}`);
    const above = index === 0 ? Infinity : (ceilings[index - 1] ?? 0);
    expect(
      ceiling <= above,
      `the ceiling of priority ${priorities[index] ?? 0} is ${ceiling}, above that of a higher one`,
    );
  }
  const rest = [...ceilings.subarray(priorities.length)];
  expect(
    rest.every((each) => Number.isNaN(each)),
    "it wrote more ceilings than there are priorities",
  );
}

/** An order without contradictions. */
export function evictionSuite(definition: PluginDefinition, options: ContractOptions): ContractCheck[] {
  return [
    {
      name: `${definition.type} as an eviction policy: an order without contradictions`,
      run: () => {
        const policy = createAlone(definition, options, 1) as EvictionPolicy;
        const items = sampleItems(40, createSeededRandom(6));
        for (const a of items) {
          expect(typeof policy.mayEvict(a) === "boolean", "mayEvict gives no true or false");
          for (const b of items) {
            const [one, two] = [Math.sign(policy.compare(a, b)), Math.sign(policy.compare(b, a))];
            expect(one + two === 0, `${a.id} goes before ${b.id}, and ${b.id} before ${a.id}`);
          }
        }
        const sorted = items.toSorted((a, b) => policy.compare(a, b));
        for (const [index, item] of sorted.entries()) {
          const next = sorted[index + 1];
          expect(
            next === undefined || policy.compare(item, next) <= 0,
            "sorted by it, the order is not its own",
          );
        }
      },
    },
  ];
}
