/** What callers notice when one of three servers behind the gateway dies again and again under load. */
import { setTimeout as sleep } from "node:timers/promises";
import { withChatRig, withHeaders } from "../harness/chat-rig.ts";
import type { ChatRig } from "../harness/chat-rig.ts";
import { digits, runsRow, scaledCount, scaledMs } from "../harness/figure.ts";
import type { Figure, FigureContext, FigureResult } from "../harness/figure.ts";
import { measureLoad } from "../harness/measure.ts";
import type { MeasuredLoad } from "../harness/measure.ts";
import { processLines } from "../harness/process-table.ts";
import { spreadOf } from "../harness/spread.ts";
import { loadOf, parameterOf, readWorkload } from "../harness/workload.ts";
import type { Workload } from "../harness/workload.ts";

const SERVERS = 3;

/** SIGKILL to one server after another; each is started again at its address. */
export const figure: Figure = {
  id: "chat-kill",
  title: "one of three endpoints killed under load, 10 times",
  target: "0 client errors before the commit point",
  run,
};

async function run(context: FigureContext): Promise<FigureResult> {
  const workload = await readWorkload("chat-kill");
  const load = loadOf(workload);
  const plan = { ...load, warmUpMs: scaledMs(load.warmUpMs, context.scale) };
  return withChatRig(context, { upstreams: SERVERS }, async (rig) => {
    let kills = 0;
    const measured = await measureLoad(withHeaders(plan, { Authorization: rig.authorization }), {
      servers: [rig.gateway],
      during: async () => {
        kills = await killInTurn(workload, rig, context);
      },
    });
    return judge(kills, measured);
  });
}

function judge(kills: number, measured: MeasuredLoad): FigureResult {
  const { load } = measured;
  const { p50Ms, p99Ms, maxMs } = load.latency;
  return {
    rows: [
      runsRow(spreadOf([load.errors]), {
        what: `failed requests of ${load.requests} over ${kills} kills`,
        goal: { atMost: 0 },
      }),
    ],
    details: [
      `latency meanwhile: p50 ${digits(p50Ms)} ms, p99 ${digits(p99Ms)} ms, worst ${digits(maxMs)} ms`,
      `statuses: ${JSON.stringify(load.statuses)}, failures: ${JSON.stringify(load.failures)}`,
      ...processLines({ ours: [measured] }),
    ],
    data: { kills, measured },
  };
}

async function killInTurn(workload: Workload, rig: ChatRig, context: FigureContext): Promise<number> {
  const count = scaledCount(parameterOf(workload, "kills"), context.scale);
  const pauseMs = scaledMs(parameterOf(workload, "pauseMs"), context.scale);
  const downMs = scaledMs(parameterOf(workload, "downMs"), context.scale);
  for (let index = 0; index < count; index += 1) {
    const place = index % SERVERS;
    await sleep(pauseMs);
    const server = rig.upstreams[place];
    if (server === undefined) throw new Error(`there is no server at place ${place}`);
    process.kill(server.pid, "SIGKILL");
    await sleep(downMs);
    await rig.restart(place);
    context.log(`kill ${index + 1}: ${server.name} killed and started again`);
  }
  await sleep(pauseMs);
  return count;
}
