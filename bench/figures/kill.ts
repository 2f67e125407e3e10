/** What callers notice when worker processes die under load, and how soon others take their place. */
import { setTimeout as sleep } from "node:timers/promises";
import { prepareModels } from "../harness/bench-models.ts";
import { digits, runsRow, scaledCount, scaledMs, spreadText } from "../harness/figure.ts";
import type { Figure, FigureContext, FigureResult } from "../harness/figure.ts";
import { withGateway } from "../harness/gateway.ts";
import type { Gateway } from "../harness/gateway.ts";
import { measureLoad } from "../harness/measure.ts";
import type { MeasuredLoad } from "../harness/measure.ts";
import { processLines } from "../harness/process-table.ts";
import { spreadOf } from "../harness/spread.ts";
import type { WorkerEvents } from "../harness/worker-events.ts";
import { loadOf, parameterOf, readWorkload } from "../harness/workload.ts";
import type { Workload } from "../harness/workload.ts";

const MAX_FAILED = 0;
const MAX_REPLACED_MS = 500;
const INSTANCES = 2;
const REPLACEMENT_TIMEOUT_MS = 30_000;

/** SIGKILL to one of two instances after another, under a steady load. */
export const figure: Figure = {
  id: "kill",
  title: "kill -9 of one of two digits instances under load, 20 times",
  target: "0 failed requests, replaced in under 500 ms",
  run,
};

/** One kill. Times are the gateway's log lines against the moment of the kill, to the millisecond. */
interface Kill {
  readonly worker: string;
  readonly pid: number;
  /** Until the gateway took the process for ended. */
  readonly noticedMs: number;
  /** Until the process that replaces it took requests. */
  readonly replacedMs: number;
}

async function run(context: FigureContext): Promise<FigureResult> {
  const workload = await readWorkload("kill-under-load");
  const models = await prepareModels(workload, context.directory);
  const load = loadOf(workload);
  const plan = { ...load, warmUpMs: scaledMs(load.warmUpMs, context.scale) };
  const kills: Kill[] = [];
  const measured = await withGateway({ directory: context.directory, models }, async (gateway) => {
    await gateway.workers.haveRunning(INSTANCES, REPLACEMENT_TIMEOUT_MS);
    return measureLoad(plan, {
      servers: [gateway.server],
      during: () => killInTurn(workload, { gateway, kills }, context),
    });
  });
  if ("durationMs" in plan.bound && measured.load.windowMs >= plan.bound.durationMs)
    throw new Error("the load ended before the last kill: its window is too short");
  return judge(kills, measured);
}

function judge(kills: readonly Kill[], measured: MeasuredLoad): FigureResult {
  const { load } = measured;
  const replacedMs = spreadOf(kills.map((kill) => kill.replacedMs));
  const noticedMs = spreadOf(kills.map((kill) => kill.noticedMs));
  const { p50Ms, p99Ms, maxMs } = load.latency;
  return {
    rows: [
      runsRow(spreadOf([load.errors]), {
        what: `failed requests of ${load.requests} over ${kills.length} kills`,
        goal: { atMost: MAX_FAILED },
      }),
      runsRow(replacedMs, { what: "kill to the replacement ready, ms", goal: { atMost: MAX_REPLACED_MS } }),
    ],
    details: [
      `from the gateway's log: noticed after ${spreadText(noticedMs)} ms (worker_ended), replaced after ${spreadText(replacedMs)} ms (worker_ready)`,
      `latency meanwhile: p50 ${digits(p50Ms)} ms, p99 ${digits(p99Ms)} ms, worst ${digits(maxMs)} ms`,
      ...processLines({ ours: [measured] }),
    ],
    data: { kills, replacedMs, noticedMs, measured },
  };
}

async function killInTurn(
  workload: Workload,
  { gateway, kills }: { readonly gateway: Gateway; readonly kills: Kill[] },
  context: FigureContext,
): Promise<void> {
  const { workers } = gateway;
  const places = [...workers.running.keys()].toSorted();
  const count = scaledCount(parameterOf(workload, "kills"), context.scale);
  const pauseMs = scaledMs(parameterOf(workload, "pauseMs"), context.scale);
  for (let index = 0; index < count; index += 1) {
    await sleep(pauseMs);
    const kill = await killOne(workers, places[index % places.length] ?? "");
    context.log(`kill ${index + 1}: ${kill.worker} replaced after ${kill.replacedMs} ms`);
    kills.push(kill);
  }
  await sleep(pauseMs);
}

async function killOne(workers: WorkerEvents, worker: string): Promise<Kill> {
  const pid = workers.running.get(worker);
  if (pid === undefined) throw new Error(`there is no process at ${worker}`);
  const seen = workers.all.length;
  const startMs = Date.now();
  process.kill(pid, "SIGKILL");
  const find = (kind: "ready" | "ended"): Promise<number> =>
    workers
      .find((event) => event.kind === kind && event.worker === worker, {
        after: seen,
        timeoutMs: REPLACEMENT_TIMEOUT_MS,
      })
      .then(({ timeMs }) => timeMs - startMs);
  return { worker, pid, noticedMs: await find("ended"), replacedMs: await find("ready") };
}
