/** Streams through the gateway against the same streams straight from the server behind. */
import { scaledStreams, withChatRig, withHeaders } from "./chat-rig.ts";
import { digits, scaledPlan, type FigureContext } from "./figure.ts";
import { measureLoad, type MeasuredLoad } from "./measure.ts";
import { runPairs, type Round } from "./pairs.ts";
import { loadOf, readWorkload } from "./workload.ts";

/** Runs the pairs of a workload, `p99Ms` of each run in the log. Ours is the gateway, the reference the server alone. */
export async function runStreamPairs(
  context: FigureContext,
  workload: string,
  p99Ms: (run: MeasuredLoad) => number,
): Promise<readonly Round<MeasuredLoad>[]> {
  const plan = scaledStreams(scaledPlan(loadOf(await readWorkload(workload)), context.scale), context.scale);
  return withChatRig(context, {}, ({ upstreams: [upstream], gateway, authorization }) =>
    runPairs({
      pairs: context.pairs,
      ours: () =>
        measureLoad(withHeaders(plan, { Authorization: authorization }), { servers: [gateway, upstream] }),
      reference: () => measureLoad(plan, { servers: [upstream] }),
      onRun: (one, { round, side }) =>
        context.log(`round ${round}, ${side}: p99 ${digits(p99Ms(one))} ms, ${one.load.errors} failed`),
    }),
  );
}
