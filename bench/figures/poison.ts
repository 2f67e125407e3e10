/** How far the harm of a request that kills its worker goes. */
import { setTimeout as sleep } from "node:timers/promises";
import { prepareModels } from "../harness/bench-models.ts";
import { digits, runsRow, scaledCount, scaledMs } from "../harness/figure.ts";
import type { Figure, FigureContext, FigureResult } from "../harness/figure.ts";
import { withGateway } from "../harness/gateway.ts";
import type { Gateway } from "../harness/gateway.ts";
import { measureLoad } from "../harness/measure.ts";
import type { MeasuredLoad } from "../harness/measure.ts";
import { processLines } from "../harness/process-table.ts";
import { spreadOf } from "../harness/spread.ts";
import type { WorkerEvent } from "../harness/worker-events.ts";
import { loadOf, parameterOf, readWorkload } from "../harness/workload.ts";
import type { Workload } from "../harness/workload.ts";
import type { LoadResult } from "../load/load-result.ts";
import { startLoad } from "../load/start-load.ts";

const MAX_DEATHS = 2;
const INSTANCES = 2;
const RECOVERY_TIMEOUT_MS = 30_000;

/** One poison request among good ones, to a model with two instances. */
export const figure: Figure = {
  id: "poison",
  title: "poison request among good ones, two instances",
  target: "at most two instances die, every good request is answered",
  run,
};

/** One poison request. */
interface Run {
  /** Processes that ended while good requests went on. */
  readonly deaths: number;
  readonly good: MeasuredLoad;
  readonly poison: LoadResult;
}

async function run(context: FigureContext): Promise<FigureResult> {
  const workload = await readWorkload("poison");
  const models = await prepareModels(workload, context.directory);
  const count = scaledCount(parameterOf(workload, "runs"), context.scale);
  const runs = await withGateway({ directory: context.directory, models }, async (gateway) => {
    const done: Run[] = [];
    for (let round = 1; round <= count; round += 1) {
      const one = await poisonOnce(workload, gateway, context);
      context.log(`run ${round}: ${textOf(one)}`);
      done.push(one);
    }
    return done;
  });
  return judge(runs);
}

function judge(runs: readonly Run[]): FigureResult {
  const good = runs.map((one) => one.good.load);
  const requests = good.reduce((sum, load) => sum + load.requests, 0);
  return {
    rows: [
      runsRow(spreadOf(runs.map(({ deaths }) => deaths)), {
        what: "instances that died of one poison request",
        goal: { atMost: MAX_DEATHS },
      }),
      runsRow(spreadOf(good.map(({ errors }) => errors)), {
        what: `good requests that failed, of ${requests} in ${runs.length} runs`,
        goal: { atMost: 0 },
      }),
    ],
    details: [
      ...runs.map((one, index) => `run ${index + 1}: ${textOf(one)}`),
      ...processLines({ ours: runs.map((one) => one.good) }),
    ],
    data: { runs },
  };
}

async function poisonOnce(workload: Workload, gateway: Gateway, context: FigureContext): Promise<Run> {
  const { server, workers } = gateway;
  await workers.haveRunning(INSTANCES, RECOVERY_TIMEOUT_MS);
  const seen = workers.all.length;
  const plan = loadOf(workload, "good");
  const goodPlan = { ...plan, warmUpMs: scaledMs(plan.warmUpMs, context.scale) };
  const sent: { poison?: LoadResult } = {};
  const good = await measureLoad(goodPlan, {
    servers: [server],
    during: async () => {
      const windowEnd = sleep(context.scale === "full" ? durationOf(workload) : 0);
      await sleep(scaledMs(parameterOf(workload, "poisonAfterMs"), context.scale));
      sent.poison = await sendPoison(workload, gateway);
      await workers.find(isEnd, { after: seen, timeoutMs: RECOVERY_TIMEOUT_MS });
      await workers.haveRunning(INSTANCES, RECOVERY_TIMEOUT_MS);
      await windowEnd;
    },
  });
  const deaths = workers.all.slice(seen).filter(isEnd).length;
  if (sent.poison === undefined) throw new Error("the poison was not sent");
  return { deaths, good, poison: sent.poison };
}

async function sendPoison(workload: Workload, { server }: Gateway): Promise<LoadResult> {
  const load = startLoad({ ...loadOf(workload, "poison"), target: server.address });
  try {
    return await load.result;
  } finally {
    load.close();
  }
}

function isEnd({ kind }: WorkerEvent): boolean {
  return kind === "ended";
}

function durationOf(workload: Workload): number {
  const { bound } = loadOf(workload, "good");
  return "durationMs" in bound ? bound.durationMs : 0;
}

function textOf({ deaths, good, poison }: Run): string {
  const { requests, errors, latency } = good.load;
  const answers = Object.keys(poison.statuses).join(", ") || "nothing";
  return `${deaths} died; ${errors} of ${requests} good requests failed, worst ${digits(latency.maxMs)} ms; the poison was answered ${answers}`;
}
