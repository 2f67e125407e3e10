/** Runs a load against servers and watches every process meanwhile. */
import type { LoadResult } from "../load/load-result.ts";
import type { LoadPlan, Target } from "../load/load-spec.ts";
import type { LoopDelay } from "../load/loop-delay.ts";
import { startLoad } from "../load/start-load.ts";
import type { LoadProcess } from "../load/start-load.ts";
import { cpuMsOf, ProcessWatch } from "./processes.ts";
import type { ProcessReport } from "./processes.ts";
import type { ServerProcess } from "./serve.ts";

/** Around a measured load. */
export interface MeasureOptions {
  /** Watched with all their children, from the start of the measured window to its end. */
  readonly servers: readonly ServerProcess[];
  /** Where the load goes; default: the first server. */
  readonly target?: Target;
  /** Runs beside the load from the start of the window on; when it resolves, the window ends. */
  readonly during?: () => Promise<void>;
}

/** A load and what it cost. */
export interface MeasuredLoad {
  readonly load: LoadResult;
  /** Of the servers and their children. */
  readonly processes: readonly ProcessReport[];
  /** By server name; null for one that does not tell. */
  readonly loopDelays: Readonly<Record<string, LoopDelay | null>>;
}

/** Runs the plan in a process of its own. Rejects when the generator or `during` fails. */
export async function measureLoad(plan: LoadPlan, options: MeasureOptions): Promise<MeasuredLoad> {
  const target = options.target ?? options.servers[0]?.address;
  if (target === undefined) throw new Error("a load needs a target or a server");
  const running = startLoad({ ...plan, target });
  try {
    await running.measuring;
    const watched = watchWindow(running, options);
    await Promise.all([watched, besides(running, options.during)]);
    return { load: await running.result, ...(await watched) };
  } finally {
    running.close();
  }
}

/** What the system counts CPU time in (`CLK_TCK` of Linux is 100 a second everywhere): less is told as one. */
const tickMs = 10;

/** CPU time of the servers for each good answer, in microseconds. */
export function cpuUsPerRequest({ load, processes }: MeasuredLoad, server?: string): number {
  const answers = (load.ratePerSecond * load.windowMs) / 1000;
  const isThere = processes.some((one) => server === undefined || one.server === server);
  return (Math.max(isThere ? tickMs : 0, cpuMsOf(processes, server)) * 1000) / Math.max(1, answers);
}

async function watchWindow(
  running: LoadProcess,
  { servers }: MeasureOptions,
): Promise<Pick<MeasuredLoad, "processes" | "loopDelays">> {
  const resets = Promise.all(servers.map((server) => server.resetLoopDelay()));
  resets.catch(() => undefined);
  const roots = Object.fromEntries(servers.map((server) => [server.name, server.pid]));
  const watch = new ProcessWatch({ roots });
  try {
    await running.measured;
  } finally {
    watch.close();
  }
  await resets;
  const delays = servers.map(async (server) => [server.name, await server.loopDelay()] as const);
  return { processes: watch.close(), loopDelays: Object.fromEntries(await Promise.all(delays)) };
}

async function besides(running: LoadProcess, during: MeasureOptions["during"]): Promise<void> {
  if (during === undefined) return;
  await during();
  running.stop();
}
