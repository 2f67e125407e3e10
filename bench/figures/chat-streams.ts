/** A thousand streams at once: how much later events come through the gateway, and what it holds meanwhile. */
import { megabytes, pairedLine, pairedRow, runsRow, spreadText } from "../harness/figure.ts";
import type { Figure, FigureContext, FigureResult } from "../harness/figure.ts";
import type { MeasuredLoad } from "../harness/measure.ts";
import { comparePairs, runsOf } from "../harness/pairs.ts";
import type { Round } from "../harness/pairs.ts";
import { processLines } from "../harness/process-table.ts";
import { cpuMsOf, maxMemoryBytes } from "../harness/processes.ts";
import { spreadOf } from "../harness/spread.ts";
import { runStreamPairs } from "../harness/stream-pairs.ts";

const MAX_ADDED_P99_MS = 20;
const MAX_MEMORY_MB = 300;

/** Events carry the time they were sent; what arrives late straight from the server is not the gateway's. */
export const figure: Figure = {
  id: "chat-streams",
  title: "1,000 streams of 30 events a second",
  target: "delay added to an event p99 at most 20 ms; gateway memory under 300 MB",
  run,
};

async function run(context: FigureContext): Promise<FigureResult> {
  return judge(await runStreamPairs(context, "chat-streams", delayP99));
}

/** How long an event is on its way. */
function delayP99({ load }: MeasuredLoad): number {
  return load.events?.delay.p99Ms ?? Number.POSITIVE_INFINITY;
}

function gatewayMegabytes({ processes }: MeasuredLoad): number {
  const own = processes.filter(({ server }) => server === "gateway");
  return megabytes(Math.max(...own.map(maxMemoryBytes)));
}

/** CPU time of the gateway for each event that it passed on, in microseconds. */
function cpuUsPerEvent({ load, processes }: MeasuredLoad): number {
  return (cpuMsOf(processes, "gateway") * 1000) / Math.max(1, load.events?.delay.count ?? 0);
}

function judge(rounds: readonly Round<MeasuredLoad>[]): FigureResult {
  const p99 = comparePairs(rounds, "difference", delayP99);
  const p50 = comparePairs(rounds, "difference", ({ load }) => load.events?.delay.p50Ms ?? 0);
  const failed = rounds.reduce((sum, { ours }) => sum + ours.load.errors, 0);
  return {
    rows: [
      pairedRow("difference", p99, {
        what: "delay added to an event, p99, ms",
        goal: { atMost: MAX_ADDED_P99_MS },
      }),
      runsRow(spreadOf(rounds.map(({ ours }) => gatewayMegabytes(ours))), {
        what: "gateway memory, MB",
        goal: { atMost: MAX_MEMORY_MB },
      }),
      runsRow(spreadOf([failed]), { what: "streams that failed", goal: { atMost: 0 } }),
    ],
    details: [
      pairedLine("delay of an event, p99", p99, "ms"),
      pairedLine("delay of an event, p50", p50, "ms"),
      `gateway: CPU ${spreadText(spreadOf(rounds.map(({ ours }) => cpuUsPerEvent(ours))))} µs an event`,
      ...processLines({ ours: runsOf(rounds, "ours"), reference: runsOf(rounds, "reference") }),
    ],
    data: { p99, p50, rounds },
  };
}
