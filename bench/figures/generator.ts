/** How fast the load generator is: what it cannot send, no figure can measure. */
import { digits, pairedRow, runsRow, scaledPlan } from "../harness/figure.ts";
import type { Figure, FigureContext, FigureResult, FigureRow } from "../harness/figure.ts";
import { measureLoad } from "../harness/measure.ts";
import type { MeasuredLoad } from "../harness/measure.ts";
import { comparePairs, runPairs } from "../harness/pairs.ts";
import { processLines } from "../harness/process-table.ts";
import { ServerProcess } from "../harness/serve.ts";
import { spreadOf } from "../harness/spread.ts";
import { loadOf, readWorkload } from "../harness/workload.ts";
import { hasWrk, runWrk } from "../harness/wrk.ts";
import type { LoadPlan } from "../load/load-spec.ts";

/** Requests that a core of the generator has to send each second; a constant `node:http` answer has been seen at 65,000 (a core). */
const MIN_CEILING_PER_SECOND = 60_000;
/** Share of wrk's rate against the same server. */
const MIN_SHARE_OF_WRK = 0.6;

/** The generator's rate against wrk's, and its own ceiling. */
export const figure: Figure = {
  id: "generator",
  title: "load generator against a constant node:http server, 64 connections",
  target: "60 % of the rate of wrk -t1; 60,000 requests/s for each core of its own CPU time",
  run,
};

async function run(context: FigureContext): Promise<FigureResult> {
  const plan = scaledPlan(loadOf(await readWorkload("generator")), context.scale);
  const server = await ServerProcess.start({
    name: "constant",
    script: "bench/reference/constant.ts",
    ready: { kind: "message" },
  });
  const runs: MeasuredLoad[] = [];
  const ours = async (): Promise<number> => {
    const measured = await measureLoad(plan, { servers: [server] });
    runs.push(measured);
    return measured.load.ratePerSecond;
  };
  try {
    const compared = hasWrk()
      ? await againstWrk(context, plan, { server, ours })
      : await alone(context, ours);
    const ceilings = runs.map(({ load }) => load.ratePerSecond / load.generator.utilization);
    return {
      rows: [...compared.rows, ceilingRow(ceilings)],
      details: processLines({ ours: runs }),
      data: { plan, ceilings, ...compared.data, runs },
    };
  } finally {
    await server.close();
  }
}

interface Compared {
  readonly rows: readonly FigureRow[];
  readonly data: Readonly<Record<string, unknown>>;
}

async function againstWrk(
  context: FigureContext,
  plan: LoadPlan,
  sides: { readonly server: ServerProcess; readonly ours: () => Promise<number> },
): Promise<Compared> {
  const rounds = await runPairs({
    pairs: context.pairs,
    ours: sides.ours,
    reference: () => wrkRate(plan, sides.server),
    onRun: (rate, { round, side }) =>
      context.log(`round ${round}, ${side === "ours" ? "ours" : "wrk"}: ${digits(rate)}/s`),
  });
  const rate = comparePairs(rounds, "ratio", (value) => value);
  const row = pairedRow("ratio", rate, { what: "rate over wrk's", goal: { atLeast: MIN_SHARE_OF_WRK } });
  return { rows: [row], data: { rate, rounds } };
}

async function alone(context: FigureContext, ours: () => Promise<number>): Promise<Compared> {
  context.log("wrk is not installed: only the ceiling is measured");
  for (let round = 1; round <= context.pairs; round += 1)
    context.log(`run ${round}: ${digits(await ours())}/s`);
  return { rows: [], data: {} };
}

async function wrkRate(plan: LoadPlan, server: ServerProcess): Promise<number> {
  const { host, port } = server.address;
  const durationMs = "durationMs" in plan.bound ? plan.bound.durationMs : 1000;
  const result = await runWrk({ url: `http://${host}:${port}/`, connections: plan.connections, durationMs });
  if (result.errors > 0) throw new Error(`wrk counted ${result.errors} errors`);
  return result.ratePerSecond;
}

/** What one core would send: answers a second over the share of a core that the generator used. */
function ceilingRow(ceilings: readonly number[]): FigureRow {
  return runsRow(spreadOf(ceilings), {
    what: "requests/s for each core of generator CPU",
    goal: { atLeast: MIN_CEILING_PER_SECOND },
  });
}
