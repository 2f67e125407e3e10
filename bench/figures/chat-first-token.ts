/** How much later the first event of a stream comes through the gateway. */
import { scaledStreams, withChatRig, withHeaders } from "../harness/chat-rig.ts";
import { digits, pairedLine, pairedRow, scaledPlan } from "../harness/figure.ts";
import type { Figure, FigureContext, FigureResult } from "../harness/figure.ts";
import { measureLoad } from "../harness/measure.ts";
import type { MeasuredLoad } from "../harness/measure.ts";
import { comparePairs, runPairs, runsOf } from "../harness/pairs.ts";
import type { Round } from "../harness/pairs.ts";
import { processLines } from "../harness/process-table.ts";
import { loadOf, readWorkload } from "../harness/workload.ts";

const MAX_ADDED_P99_MS = 2;

/** The server sends its first event at once: all of the time to it is the way there and back. */
export const figure: Figure = {
  id: "chat-first-token",
  title: "added time to first token, 200 streams",
  target: "p99 at most 2 ms",
  run,
};

async function run(context: FigureContext): Promise<FigureResult> {
  const plan = scaledStreams(
    scaledPlan(loadOf(await readWorkload("chat-first-token")), context.scale),
    context.scale,
  );
  const rounds = await withChatRig(context, {}, ({ upstreams: [upstream], gateway, authorization }) =>
    runPairs({
      pairs: context.pairs,
      ours: () =>
        measureLoad(withHeaders(plan, { Authorization: authorization }), { servers: [gateway, upstream] }),
      reference: () => measureLoad(plan, { servers: [upstream] }),
      onRun: (one, { round, side }) =>
        context.log(`round ${round}, ${side}: p99 ${digits(firstP99(one))} ms, ${one.load.errors} failed`),
    }),
  );
  return judge(rounds);
}

function firstP99({ load }: MeasuredLoad): number {
  return load.events?.first.p99Ms ?? Number.POSITIVE_INFINITY;
}

function judge(rounds: readonly Round<MeasuredLoad>[]): FigureResult {
  const p99 = comparePairs(rounds, "difference", firstP99);
  const p50 = comparePairs(rounds, "difference", ({ load }) => load.events?.first.p50Ms ?? 0);
  return {
    rows: [
      pairedRow("difference", p99, {
        what: "added time to first token, p99, ms",
        goal: { atMost: MAX_ADDED_P99_MS },
      }),
    ],
    details: [
      pairedLine("time to first token, p99", p99, "ms"),
      pairedLine("time to first token, p50", p50, "ms"),
      ...processLines({ ours: runsOf(rounds, "ours"), reference: runsOf(rounds, "reference") }),
    ],
    data: { p99, p50, rounds },
  };
}
