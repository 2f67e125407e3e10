/** The shipped scheduling near saturation, on a simulated fleet: where prefixes are shared, and where none is. */
import { boundOf } from "../fleet/bound.ts";
import type { Bound } from "../fleet/bound.ts";
import { caseOf, readLoads } from "../fleet/load-case.ts";
import type { LoadCase, LoadsWorkload } from "../fleet/load-case.ts";
import { shipped } from "../fleet/profiles.ts";
import { leastRequest, roundRobin } from "../fleet/reference-routers.ts";
import type { RouterKind } from "../fleet/router.ts";
import { runCase } from "../fleet/run-case.ts";
import type { CaseResult } from "../fleet/run-case.ts";
import { readServerSettings } from "../fleet/settings.ts";
import type { ServerSettings } from "../fleet/settings.ts";
import { digits, runsRow } from "../harness/figure.ts";
import type { Figure, FigureContext, FigureResult } from "../harness/figure.ts";
import { spreadOf } from "../harness/spread.ts";
import { parameterOf } from "../harness/workload.ts";

const NEAR_SATURATION = 0.9;

/** Offered, in multiples of the bound, where tokens a second are held against it. */
const SATURATED = 1.2;

/** Fleet of 8. */
export const figure: Figure = {
  id: "fleet-chat",
  title: "scheduling on a simulated fleet of 8 near saturation",
  target:
    "shared prefixes: TTFT p90 0.35 × round robin and 0.6 × least request; none shared: 1.05 × least request; 85 % of the bound",
  run,
};

/** What all runs share. */
interface Bench {
  readonly workload: LoadsWorkload;
  readonly settings: ServerSettings;
  readonly seeds: readonly number[];
  readonly scale: number;
}

/** Near saturation, by router; and saturated. Seeds in one order everywhere. */
interface Measured {
  readonly near: ReadonlyMap<RouterKind, readonly CaseResult[]>;
  readonly saturated: readonly CaseResult[];
  readonly bounds: readonly Bound[];
}

async function run(context: FigureContext): Promise<FigureResult> {
  const workload = await readLoads();
  const seeds = context.scale === "full" ? workload.seeds : workload.seeds.slice(0, 1);
  const scale = { full: 1, quick: 0.3, smoke: 0.1 }[context.scale];
  const bench = { workload, settings: await readServerSettings(), seeds, scale };
  const shared = measure(caseOf(workload, "shared-prefix chat"), bench);
  const plain = measure(caseOf(workload, "no shared prefix"), bench);
  return {
    rows: [
      ratioRow("shared prefixes: TTFT p90 over round robin's", shared, roundRobin, 0.35),
      ratioRow("shared prefixes: TTFT p90 over least request's", shared, leastRequest, 0.6),
      ratioRow("no shared prefix: TTFT p90 over least request's", plain, leastRequest, 1.05),
      boundRow("shared prefixes: work done over the bound", shared),
      boundRow("no shared prefix: work done over the bound", plain),
    ],
    details: [...linesOf("shared prefixes", shared), ...linesOf("no shared prefix", plain)],
    data: [shared, plain].map(({ near, saturated, bounds }) => ({
      near: Object.fromEntries([...near].map(([{ name }, results]) => [name, results])),
      saturated,
      bounds,
    })),
  };
}

function measure(load: LoadCase, { workload, settings, seeds, scale }: Bench): Measured {
  const runs = (router: RouterKind, rates: readonly number[]): CaseResult[] =>
    seeds.map((seed, at) =>
      runCase({ workload, settings, load, router, ratePerSecond: rates[at] ?? 0, seed, scale }),
    );
  const nearRates = seeds.map(() => NEAR_SATURATION * load.capacity);
  const near = new Map(
    [roundRobin, leastRequest, shipped].map((router) => [router, runs(router, nearRates)] as const),
  );
  const servers = parameterOf(workload, "servers");
  const bounds = seeds.map((seed) => boundOf(load, settings.engine, servers, seed));
  const saturated = runs(
    shipped,
    bounds.map(({ requestsPerSecond }) => SATURATED * requestsPerSecond),
  );
  return { near, saturated, bounds };
}

function ratioRow(what: string, { near }: Measured, reference: RouterKind, atMost: number) {
  const ours = near.get(shipped) ?? [];
  const theirs = near.get(reference) ?? [];
  const ratios = ours.map(({ ttftP90 }, at) => ttftP90 / (theirs[at]?.ttftP90 ?? Number.NaN));
  return runsRow(spreadOf(ratios), { what, goal: { atMost } });
}

function boundRow(what: string, { saturated, bounds }: Measured) {
  const shares = saturated.map((result, at) => bounds[at]?.shareOf(result) ?? Number.NaN);
  return runsRow(spreadOf(shares), { what, goal: { atLeast: 0.85 } });
}

function linesOf(what: string, { near, saturated, bounds }: Measured): string[] {
  const line = (name: string, results: readonly CaseResult[]): string => {
    const of = (value: (result: CaseResult) => number): string =>
      results.map((each) => digits(value(each))).join(", ");
    return (
      `${what}, ${name}, by seed: TTFT p50 ${of(({ ttftP50 }) => ttftP50)} ms, p90 ${of(({ ttftP90 }) => ttftP90)} ms, p99 ${of(({ ttftP99 }) => ttftP99)} ms; ` +
      `a token p90 ${of(({ tpotP90 }) => tpotP90)} ms; ${of(({ outputPerSecond }) => outputPerSecond)} tokens/s; ` +
      `cached ${of(({ cachedShare }) => 100 * cachedShare)} %`
    );
  };
  return [
    ...[...near].map(([{ name }, results]) => line(name, results)),
    `${line("shipped, saturated", saturated)}; bound ${bounds.map(({ outputPerSecond }) => digits(outputPerSecond)).join(", ")} tokens/s`,
  ];
}
