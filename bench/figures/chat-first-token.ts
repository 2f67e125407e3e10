/** How much later the first event of a stream comes through the gateway. */
import { pairedLine, pairedRow } from "../harness/figure.ts";
import type { Figure, FigureContext, FigureResult } from "../harness/figure.ts";
import type { MeasuredLoad } from "../harness/measure.ts";
import { comparePairs, runsOf } from "../harness/pairs.ts";
import type { Round } from "../harness/pairs.ts";
import { processLines } from "../harness/process-table.ts";
import { runStreamPairs } from "../harness/stream-pairs.ts";

const MAX_ADDED_P99_MS = 2;

/** The server sends its first event at once: all of the time to it is the way there and back. */
export const figure: Figure = {
  id: "chat-first-token",
  title: "added time to first token, 200 streams",
  target: "p99 at most 2 ms",
  run,
};

async function run(context: FigureContext): Promise<FigureResult> {
  return judge(await runStreamPairs(context, "chat-first-token", firstP99));
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
