/** What was published, and the same run here. */
import { parameterOf, readWorkload } from "../harness/workload.ts";
import type { Workload } from "../harness/workload.ts";
import { runLadder } from "./ladder.ts";
import type { Ladder, LadderResult } from "./ladder.ts";
import { approximatePrefix, loadOnly, precisePrefix, randomRouter } from "./reference-routers.ts";
import type { RouterKind } from "./router.ts";
import { readServerSettings } from "./settings.ts";
import { mean } from "./statistics.ts";

/** Numbers of one router, in seconds and tokens a second. */
export interface Published {
  readonly outputPerSecond: number;
  readonly ttftP90: number;
  readonly ttftMean: number;
  readonly waitingMean: number;
  readonly kvMean: number;
  readonly stageOutputPerSecond: readonly number[];
  readonly stageTtftMean: readonly number[];
}

/** `bench/workloads/fleet-published.json`. */
export interface PublishedWorkload extends Workload {
  readonly stages: Ladder["stages"];
  readonly seeds: readonly number[];
  readonly published: Readonly<Record<string, Published>>;
}

const guess = { blockTokens: 16, maxBlocks: 256, capacity: 31_250 };

/** The four that were compared, with their settings there: blocks of 64 characters, 256 of a prompt, 31,250 of a server. */
export const comparedRouters: readonly RouterKind[] = [
  randomRouter,
  loadOnly,
  approximatePrefix("approximate prefix", { weights: { queue: 1, kv: 1, prefix: 1 }, ...guess }),
  precisePrefix("precise prefix", { queue: 2, kv: 2, prefix: 3 }),
];

/** The one that was held out: approximate prefix with the weights of precise. */
export const heldOutRouter: RouterKind = approximatePrefix("approximate prefix 3/2/2", {
  weights: { queue: 2, kv: 2, prefix: 3 },
  ...guess,
});

/** Reads the workload. */
export async function readPublished(): Promise<PublishedWorkload> {
  return (await readWorkload("fleet-published")) as PublishedWorkload;
}

/** Places of stages after the first, which warms the caches, that tell most in the shortest time: 20 and 40 requests/s. */
export const fewStages: readonly number[] = [3, 8];

/** Runs one router over the stages, or those at the places `only`. Tokens are counted as they were there. */
export async function runPublished(
  router: RouterKind,
  seed: number,
  only?: readonly number[],
): Promise<LadderResult> {
  const workload = await readPublished();
  const { engine, surroundings } = await readServerSettings();
  const of = (name: string): number => parameterOf(workload, name);
  const result = runLadder(
    {
      groups: of("groups"),
      promptsPerGroup: of("promptsPerGroup"),
      systemTokens: of("systemTokens"),
      questionTokens: of("questionTokens"),
      outputTokens: of("outputTokens"),
      stagePauseMs: of("stagePauseMs"),
      callersAtOnce: of("callersAtOnce"),
      stages: workload.stages.filter((_, at) => at === 0 || only === undefined || only.includes(at - 1)),
      seed,
    },
    { engines: Array.from({ length: of("servers") }, () => engine), surroundings, router, seed },
  );
  const counted = of("countedShare");
  return {
    ...result,
    outputPerSecond: result.outputPerSecond * counted,
    stages: result.stages.map((stage) => ({ ...stage, outputPerSecond: stage.outputPerSecond * counted })),
  };
}

/** What was published of the stages at the places `only`, or of all: means over stages. */
export function publishedOf(published: Published, only?: readonly number[]): Published {
  const these = <T>(values: readonly T[]): T[] =>
    values.filter((_, at) => only === undefined || only.includes(at));
  const stageOutputPerSecond = these(published.stageOutputPerSecond);
  const stageTtftMean = these(published.stageTtftMean);
  return { ...published, outputPerSecond: mean(stageOutputPerSecond), stageOutputPerSecond, stageTtftMean };
}

/** Largest factor by which a ratio of two routers' tokens a second differs from the published one. */
export function worstRatio(
  measured: ReadonlyMap<string, number>,
  published: ReadonlyMap<string, number>,
): number {
  let worst = 1;
  for (const [one, here] of measured)
    for (const [other, there] of measured) {
      const told = (published.get(one) ?? Number.NaN) / (published.get(other) ?? Number.NaN);
      worst = Math.max(worst, here / there / told);
    }
  return worst;
}

/** What the publication itself tells apart by less than this counts as equal. */
const APART = 1.1;

/**
 * Pairs of routers that come in another order than published. Those that are published within a tenth of each other have
 * to be within a tenth (of the larger) plus that distance here.
 */
export function outOfOrder(
  measured: ReadonlyMap<string, number>,
  published: ReadonlyMap<string, number>,
): string[] {
  const wrong: string[] = [];
  const names = [...measured.keys()];
  for (const [index, one] of names.entries())
    for (const other of names.slice(index + 1)) {
      const told = (published.get(one) ?? 0) / (published.get(other) ?? 0);
      const here = (measured.get(one) ?? 0) / (measured.get(other) ?? 0);
      const equal = Math.abs(Math.log(told)) < Math.log(APART);
      const good = equal ? Math.abs(Math.log(here)) < 2 * Math.log(APART) : told > 1 === here > 1;
      if (!good) wrong.push(`${one} and ${other}`);
    }
  return wrong;
}
