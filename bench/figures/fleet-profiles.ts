/** How the shipped scheduling profile stands among those that others ship or recommend, over several loads. */
import { readLoads } from "../fleet/load-case.ts";
import type { LoadCase } from "../fleet/load-case.ts";
import { comparedProfiles, shipped } from "../fleet/profiles.ts";
import { leastRequest } from "../fleet/reference-routers.ts";
import { runCase } from "../fleet/run-case.ts";
import type { CaseResult } from "../fleet/run-case.ts";
import { readServerSettings } from "../fleet/settings.ts";
import { mean } from "../fleet/statistics.ts";
import { digits, runsRow } from "../harness/figure.ts";
import type { Figure, FigureContext, FigureResult } from "../harness/figure.ts";
import { spreadOf } from "../harness/spread.ts";
import { parameterOf } from "../harness/workload.ts";

const NEAR_SATURATION = 0.9;

/** All profiles on all loads, on a simulated clock. */
export const figure: Figure = {
  id: "fleet-profiles",
  title: "the default scheduling profile among others, eight loads on the simulated fleet",
  target: "the best profile over all loads by time to first token, and nowhere far from the best",
  run,
};

/** One load at one rate: each router's result. */
interface Point {
  readonly name: string;
  readonly results: ReadonlyMap<string, CaseResult>;
}

const routers = [leastRequest, ...comparedProfiles];

async function run(context: FigureContext): Promise<FigureResult> {
  const workload = await readLoads();
  const settings = await readServerSettings();
  const [seed = 0] = workload.seeds;
  const scale = parameterOf(workload, "comparedScale") * { full: 1, quick: 0.2, smoke: 0.05 }[context.scale];
  const cases = context.scale === "full" ? workload.cases : workload.cases.slice(0, 2);
  const points: Point[] = [];
  for (const load of cases) {
    for (const share of [NEAR_SATURATION, load.high]) {
      const ratePerSecond = share * load.capacity;
      const results = new Map<string, CaseResult>();
      for (const router of routers) {
        results.set(router.name, runCase({ workload, settings, load, router, ratePerSecond, seed, scale }));
      }
      points.push({ name: nameOf(load, share), results });
      context.log(lineOf(points.at(-1)));
    }
  }
  return judge(points);
}

function nameOf({ name, capacity }: LoadCase, share: number): string {
  return `${name} at ${digits(share * capacity)}/s (${digits(share)} of round robin's capacity)`;
}

function judge(points: readonly Point[]): FigureResult {
  const names = comparedProfiles.map(({ name }) => name);
  const ttft = new Map(names.map((name) => [name, factorsOf(points, name, ({ ttftP90 }) => ttftP90)]));
  const overall = (name: string): number => geometric(ttft.get(name) ?? []);
  const others = names.filter((name) => name !== shipped.name);
  return {
    rows: [
      runsRow(spreadOf([overall(shipped.name) / Math.min(...others.map(overall))]), {
        what: "TTFT p90 over the best profile's of each load, geometric mean, over the best other profile's",
        goal: { atMost: 1 },
      }),
      runsRow(spreadOf([Math.max(...(ttft.get(shipped.name) ?? []))]), {
        what: "TTFT p90 over the best profile's, worst load",
        goal: { atMost: 1.25 },
      }),
    ],
    details: [
      ...names.map((name) => {
        const latency = geometric(factorsOf(points, name, ({ latencyMean }) => latencyMean));
        const worst = Math.max(...(ttft.get(name) ?? []));
        return `${name}: TTFT p90 ${digits(overall(name))} × the best of each load (worst ${digits(worst)}), mean latency ${digits(latency)} ×`;
      }),
      ...points.map(lineOf),
    ],
    data: points.map(({ name, results }) => ({ name, results: Object.fromEntries(results) })),
  };
}

/** A number over the best profile's, by point. */
function factorsOf(points: readonly Point[], name: string, value: (result: CaseResult) => number): number[] {
  return points.map(({ results }) => {
    const of = (router: string): number => {
      const result = results.get(router);
      return result === undefined ? Number.NaN : value(result);
    };
    return of(name) / Math.min(...comparedProfiles.map((router) => of(router.name)));
  });
}

function geometric(factors: readonly number[]): number {
  return Math.exp(mean(factors.map((factor) => Math.log(factor))));
}

function lineOf(point: Point | undefined): string {
  const each = [...(point?.results ?? [])].map(
    ([name, { ttftP90, ttftP99, latencyMean }]) =>
      `${name}: ${digits(ttftP90)}/${digits(ttftP99)} ms, ${digits(latencyMean / 1000)} s`,
  );
  return `${point?.name ?? ""}; TTFT p90/p99, mean latency: ${each.join("; ")}`;
}
