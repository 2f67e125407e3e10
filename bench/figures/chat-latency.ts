/** What the way through the gateway adds to a chat under a steady load. */
import { startBareProxy, withChatRig, withHeaders } from "../harness/chat-rig.ts";
import { digits, pairedLine, pairedRow, scaledPlan, spreadText } from "../harness/figure.ts";
import type { Figure, FigureContext, FigureResult } from "../harness/figure.ts";
import { measureLoad } from "../harness/measure.ts";
import type { MeasuredLoad } from "../harness/measure.ts";
import { comparePairs, runPairs, runsOf } from "../harness/pairs.ts";
import type { Round } from "../harness/pairs.ts";
import { processLines } from "../harness/process-table.ts";
import { spreadOf } from "../harness/spread.ts";
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
  return withChatRig(context, {}, async (rig) => {
    const {
      upstreams: [upstream],
      gateway,
      authorization,
    } = rig;
    const proxy = await startBareProxy(upstream);
    const proxied: MeasuredLoad[] = [];
    const own = withHeaders(plan, { Authorization: authorization });
    try {
      const rounds = await runPairs({
        pairs: context.pairs,
        ours: async () => {
          const ours = await measureLoad(own, { servers: [gateway, upstream] });
          proxied.push(await measureLoad(plan, { servers: [proxy, upstream] }));
          return ours;
        },
        reference: () => measureLoad(plan, { servers: [upstream] }),
        onRun: ({ load }, { round, side }) =>
          context.log(
            `round ${round}, ${side}: p50 ${digits(load.latency.p50Ms)} ms, p99 ${digits(load.latency.p99Ms)} ms, ${load.errors} failed`,
          ),
      });
      return judge(rounds, proxied);
    } finally {
      await proxy.close();
    }
  });
}

/** What the bare proxy adds in the same rounds: the least that another process on the way costs on this machine. */
function proxyLine(
  rounds: readonly Round<MeasuredLoad>[],
  proxied: readonly MeasuredLoad[],
  name: "p50Ms" | "p99Ms",
): string {
  const added = rounds.flatMap(({ reference }, index) => {
    const through = proxied[index];
    return through === undefined ? [] : [through.load.latency[name] - reference.load.latency[name]];
  });
  return `the bare proxy in the gateway's place adds ${spreadText(spreadOf(added))} ms at ${name.slice(0, 3)}`;
}

function judge(rounds: readonly Round<MeasuredLoad>[], proxied: readonly MeasuredLoad[]): FigureResult {
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
      proxyLine(rounds, proxied, "p50Ms"),
      proxyLine(rounds, proxied, "p99Ms"),
      ...processLines({
        ours: runsOf(rounds, "ours"),
        "bare proxy": proxied,
        reference: runsOf(rounds, "reference"),
      }),
    ],
    data: { p50, p99, rounds, proxied },
  };
}
