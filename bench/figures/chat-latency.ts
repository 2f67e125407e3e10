/** What the way through the gateway adds to a chat under a steady load. */
import { withChatRig, withHeaders } from "../harness/chat-rig.ts";
import { digits, pairedLine, pairedRow, scaledPlan } from "../harness/figure.ts";
import type { Figure, FigureContext, FigureResult } from "../harness/figure.ts";
import { measureLoad } from "../harness/measure.ts";
import type { MeasuredLoad } from "../harness/measure.ts";
import { comparePairs, runPairs, runsOf } from "../harness/pairs.ts";
import type { Round } from "../harness/pairs.ts";
import { processLines } from "../harness/process-table.ts";
import { loadOf, readWorkload } from "../harness/workload.ts";

const MAX_ADDED_P50_MS = 0.3;
const MAX_ADDED_P99_MS = 2;

/** Through the gateway, less straight to the server. */
export const figure: Figure = {
  id: "chat-latency",
  title: "added latency of a chat, open loop at 1,000 requests/s",
  target: "p50 at most 0.3 ms, p99 at most 2 ms",
  run,
};

async function run(context: FigureContext): Promise<FigureResult> {
  const plan = scaledPlan(loadOf(await readWorkload("chat-latency")), context.scale);
  const rounds = await withChatRig(context, {}, ({ upstreams: [upstream], gateway, authorization }) =>
    runPairs({
      pairs: context.pairs,
      ours: () =>
        measureLoad(withHeaders(plan, { Authorization: authorization }), { servers: [gateway, upstream] }),
      reference: () => measureLoad(plan, { servers: [upstream] }),
      onRun: ({ load }, { round, side }) =>
        context.log(
          `round ${round}, ${side}: p50 ${digits(load.latency.p50Ms)} ms, p99 ${digits(load.latency.p99Ms)} ms, ${load.errors} failed`,
        ),
    }),
  );
  return judge(rounds);
}

function judge(rounds: readonly Round<MeasuredLoad>[]): FigureResult {
  const p50 = comparePairs(rounds, "difference", ({ load }) => load.latency.p50Ms);
  const p99 = comparePairs(rounds, "difference", ({ load }) => load.latency.p99Ms);
  return {
    rows: [
      pairedRow("difference", p50, { what: "added p50, ms", goal: { atMost: MAX_ADDED_P50_MS } }),
      pairedRow("difference", p99, { what: "added p99, ms", goal: { atMost: MAX_ADDED_P99_MS } }),
    ],
    details: [
      pairedLine("p50", p50, "ms"),
      pairedLine("p99", p99, "ms"),
      ...processLines({ ours: runsOf(rounds, "ours"), reference: runsOf(rounds, "reference") }),
    ],
    data: { p50, p99, rounds },
  };
}
