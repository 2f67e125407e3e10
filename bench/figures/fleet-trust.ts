/** Whether the simulated fleet does what a real one was published to do. */
import {
  comparedRouters,
  fewStages,
  heldOutRouter,
  outOfOrder,
  publishedOf,
  readPublished,
  runPublished,
  worstRatio,
} from "../fleet/published.ts";
import type { PublishedWorkload } from "../fleet/published.ts";
import type { LadderResult } from "../fleet/ladder.ts";
import { digits, runsRow, spreadText } from "../harness/figure.ts";
import type { Figure, FigureContext, FigureResult } from "../harness/figure.ts";
import { spreadOf } from "../harness/spread.ts";

/** The published comparison of four ways to route. */
export const figure: Figure = {
  id: "fleet-trust",
  title: "simulated fleet against a published comparison of four ways to route",
  target: "the published order of tokens/s and of time to first token; ratios of tokens/s within 25 %",
  run,
};

/** One seed's results, by router. */
type Round = ReadonlyMap<string, LadderResult>;

async function run(context: FigureContext): Promise<FigureResult> {
  const workload = await readPublished();
  const stages = context.scale === "full" ? undefined : fewStages;
  const rounds: Round[] = [];
  for (const seed of context.scale === "full" ? workload.seeds : workload.seeds.slice(0, 1)) {
    const round = new Map<string, LadderResult>();
    for (const router of [...comparedRouters, heldOutRouter]) {
      const result = await runPublished(router, seed, stages);
      round.set(router.name, result);
      context.log(`seed ${seed}, ${router.name}: ${lineOf(result)}`);
    }
    rounds.push(round);
  }
  return judge(workload, rounds, stages);
}

function judge(
  workload: PublishedWorkload,
  rounds: readonly Round[],
  stages: readonly number[] | undefined,
): FigureResult {
  const names = comparedRouters.map(({ name }) => name);
  const published = new Map(
    Object.entries(workload.published).map(([name, numbers]) => [name, publishedOf(numbers, stages)]),
  );
  const mapOf = (value: (name: string) => number): Map<string, number> =>
    new Map(names.map((name) => [name, value(name)]));
  const toldOutput = mapOf((name) => published.get(name)?.outputPerSecond ?? Number.NaN);
  const toldTtft = mapOf((name) => published.get(name)?.ttftP90 ?? Number.NaN);
  const outputOf = (round: Round): Map<string, number> =>
    mapOf((name) => resultOf(round, name).outputPerSecond);
  const wrong = rounds.map((round) => [
    ...outOfOrder(outputOf(round), toldOutput),
    ...outOfOrder(
      mapOf((name) => resultOf(round, name).ttftP90),
      toldTtft,
    ),
  ]);
  const [first = new Map<string, LadderResult>()] = rounds;
  const held = rounds.map(
    (round) =>
      resultOf(round, heldOutRouter.name).outputPerSecond / resultOf(round, "precise prefix").outputPerSecond,
  );
  return {
    rows: [
      runsRow(spreadOf(wrong.map((pairs) => pairs.length)), {
        what: "pairs of routers in another order than published, by tokens/s or TTFT p90",
        goal: { atMost: 0 },
      }),
      runsRow(spreadOf(rounds.map((round) => worstRatio(outputOf(round), toldOutput))), {
        what: "furthest ratio of two routers' tokens/s over the published ratio",
        goal: { atMost: 1.25 },
      }),
    ],
    details: [
      ...names.flatMap((name) => detailsOf(name, rounds, published.get(name))),
      `held out: approximate prefix with precise's weights: ${spreadText(spreadOf(held))} of precise's tokens/s; ${lineOf(resultOf(first, heldOutRouter.name))}`,
    ],
    data: rounds.map((round) => Object.fromEntries(round)),
  };
}

function resultOf(round: Round, name: string): LadderResult {
  const result = round.get(name);
  if (result === undefined) throw new Error(`no result of ${name}`);
  return result;
}

function lineOf(result: LadderResult): string {
  return (
    `${digits(result.outputPerSecond)} tokens/s, TTFT p90 ${digits(result.ttftP90)} s, mean ${digits(result.ttftMean)} s, ` +
    `${digits(result.waitingMean)} waiting at a server, KV cache ${digits(100 * result.kvMean)} %`
  );
}

function detailsOf(
  name: string,
  rounds: readonly Round[],
  published: PublishedWorkload["published"][string] | undefined,
): string[] {
  const result = rounds[0]?.get(name);
  if (result === undefined || published === undefined) return [];
  const pairs = (here: readonly number[], there: readonly number[]): string =>
    here.map((value, index) => `${digits(value)} (${digits(there[index] ?? 0)})`).join(", ");
  return [
    `${name}: ${lineOf(result)}; published ${lineOf({ ...result, ...published })}`,
    `  tokens/s by stage, published in parentheses: ${pairs(
      result.stages.map(({ outputPerSecond }) => outputPerSecond),
      published.stageOutputPerSecond,
    )}`,
    `  TTFT mean by stage, s: ${pairs(
      result.stages.map(({ ttftMean }) => ttftMean),
      published.stageTtftMean,
    )}`,
  ];
}
