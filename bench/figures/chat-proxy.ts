/** What a chat costs with everything on: the gateway against the least a proxy in Node can do, and against Portkey. */
import { startBareProxy, withChatRig, withHeaders } from "../harness/chat-rig.ts";
import type { ChatRig } from "../harness/chat-rig.ts";
import { digits, pairedLine, pairedRow, scaledPlan } from "../harness/figure.ts";
import type { Figure, FigureContext, FigureResult } from "../harness/figure.ts";
import { cpuUsPerRequest, measureLoad } from "../harness/measure.ts";
import type { MeasuredLoad } from "../harness/measure.ts";
import { comparePairs, runPairs, runsOf } from "../harness/pairs.ts";
import type { Round } from "../harness/pairs.ts";
import { startPortkey } from "../harness/portkey.ts";
import { processLines } from "../harness/process-table.ts";
import type { ServerProcess } from "../harness/serve.ts";
import { loadOf, readWorkload } from "../harness/workload.ts";
import type { LoadPlan } from "../load/load-spec.ts";

const MIN_SHARE_OF_BARE = 0.75;
const MIN_TIMES_PORTKEY = 25;

/** Requests a second of each server's own CPU time: on a machine with fewer cores than processes, rates compare the crowd. */
export const figure: Figure = {
  id: "chat-proxy",
  title: "chat that is not streamed, 700-byte body, keys, limits, metrics and records on, 32 connections",
  target: "75 % of a bare node:http → undici.dispatch proxy, 25 × the Portkey gateway",
  run,
};

async function run(context: FigureContext): Promise<FigureResult> {
  const workload = await readWorkload("chat-proxy");
  const plan = scaledPlan(loadOf(workload), context.scale);
  return withChatRig(context, {}, async (rig) => {
    const proxy = await startBareProxy(rig.upstreams[0]);
    const bare = await pairsAgainst({ rig, plan, context, reference: () => measure(plan, proxy, rig) });
    await proxy.close();
    // Installing Portkey takes longer than a smoke test may.
    if (context.scale === "smoke") return judge(bare, undefined, plan);
    const portkey = await startPortkey(context, rig.upstreams[0].address);
    const theirs = withHeaders(scaledPlan(loadOf(workload, "portkey"), context.scale), portkey.headers);
    const known = await pairsAgainst({
      rig,
      plan,
      context,
      reference: () => measure(theirs, portkey.server, rig),
    });
    await portkey.server.close();
    return judge(bare, known, plan);
  });
}

interface PairParts {
  readonly rig: ChatRig;
  readonly plan: LoadPlan;
  readonly context: FigureContext;
  readonly reference: () => Promise<MeasuredLoad>;
}

function pairsAgainst({ rig, plan, context, reference }: PairParts): Promise<Round<MeasuredLoad>[]> {
  const ours = withHeaders(plan, { Authorization: rig.authorization });
  return runPairs({
    pairs: context.pairs,
    ours: () => measure(ours, rig.gateway, rig),
    reference,
    onRun: ({ load }, { round, side }) =>
      context.log(`round ${round}, ${side}: ${digits(load.ratePerSecond)}/s, ${load.errors} failed`),
  });
}

/** The load on one server; the server behind is watched too. */
function measure(plan: LoadPlan, server: ServerProcess, { upstreams }: ChatRig): Promise<MeasuredLoad> {
  return measureLoad(plan, { servers: [server, upstreams[0]] });
}

/** Requests that a core of its own could answer in a second, of the server that the load went to. */
function perCore(run: MeasuredLoad): number {
  return 1_000_000 / Math.max(1, cpuUsPerRequest(run, Object.keys(run.loopDelays)[0]));
}

function judge(
  bare: readonly Round<MeasuredLoad>[],
  portkey: readonly Round<MeasuredLoad>[] | undefined,
  plan: LoadPlan,
): FigureResult {
  const core = comparePairs(bare, "ratio", perCore);
  const rate = comparePairs(bare, "ratio", ({ load }) => load.ratePerSecond);
  const p99Ms = comparePairs(bare, "ratio", ({ load }) => load.latency.p99Ms);
  const known = portkey === undefined ? undefined : judgePortkey(portkey);
  return {
    rows: [
      pairedRow("ratio", core, {
        what: "requests a second of one core over the bare proxy's",
        goal: { atLeast: MIN_SHARE_OF_BARE },
      }),
      ...(known?.rows ?? []),
    ],
    details: [
      pairedLine("requests a second of one core, bare proxy", core, "requests/s"),
      pairedLine("rate, bare proxy", rate, "requests/s"),
      pairedLine("p99, bare proxy", p99Ms, "ms"),
      ...processLines({ ours: runsOf(bare, "ours"), bare: runsOf(bare, "reference") }),
      ...(known?.details ?? []),
    ],
    data: { plan, core, rate, p99Ms, bare, portkey: known?.data },
  };
}

function judgePortkey(rounds: readonly Round<MeasuredLoad>[]): Required<FigureResult> {
  const core = comparePairs(rounds, "ratio", perCore);
  const rate = comparePairs(rounds, "ratio", ({ load }) => load.ratePerSecond);
  return {
    rows: [
      pairedRow("ratio", core, {
        what: "requests a second of one core over Portkey's",
        goal: { atLeast: MIN_TIMES_PORTKEY },
      }),
    ],
    details: [
      pairedLine("requests a second of one core, Portkey", core, "requests/s"),
      pairedLine("rate, Portkey", rate, "requests/s"),
      ...processLines({ Portkey: runsOf(rounds, "reference") }),
    ],
    data: { core, rate, rounds },
  };
}
