/** How fast bytes go through the whole path: a large tensor in, and the same out. */
import { prepareModels } from "../harness/bench-models.ts";
import { digits, runsRow, scaledPlan, spreadText } from "../harness/figure.ts";
import type { Figure, FigureContext, FigureResult } from "../harness/figure.ts";
import { withGateway } from "../harness/gateway.ts";
import type { Gateway } from "../harness/gateway.ts";
import { cpuUsPerRequest, measureLoad } from "../harness/measure.ts";
import type { MeasuredLoad } from "../harness/measure.ts";
import { processLines } from "../harness/process-table.ts";
import { spreadOf } from "../harness/spread.ts";
import { loadOf, readWorkload } from "../harness/workload.ts";
import { startLoad } from "../load/start-load.ts";
import type { LoadPlan } from "../load/load-spec.ts";

const MIN_RATE_PER_SECOND = 1000;
/** Answers that are compared with what was sent, before the measured runs and apart from them. */
const VERIFIED_ANSWERS = 200;

/** The rate at which 602,112 bytes go in and come back. */
export const figure: Figure = {
  id: "identity-602k",
  title: "602 KB binary tensor into the identity mock, 16 connections",
  target: "1,000 requests/s, every verified answer byte for byte what was sent",
  run,
};

async function run(context: FigureContext): Promise<FigureResult> {
  const workload = await readWorkload("identity-602k-binary");
  const models = await prepareModels(workload, context.directory);
  const plan = scaledPlan(loadOf(workload), context.scale);
  return withGateway({ directory: context.directory, models }, async (gateway) => {
    const wrong = await countWrongAnswers(plan, gateway);
    context.log(`${VERIFIED_ANSWERS} answers verified, ${wrong} wrong`);
    const runs: MeasuredLoad[] = [];
    for (let round = 1; round <= context.pairs; round += 1) {
      const measured = await measureLoad(plan, { servers: [gateway.server] });
      context.log(`run ${round}: ${digits(measured.load.ratePerSecond)}/s`);
      runs.push(measured);
    }
    return judge(runs, wrong, plan);
  });
}

function judge(runs: readonly MeasuredLoad[], wrong: number, plan: LoadPlan): FigureResult {
  const ratePerSecond = spreadOf(runs.map(({ load }) => load.ratePerSecond));
  const cpuUs = spreadOf(runs.map((one) => cpuUsPerRequest(one)));
  const p99Ms = spreadOf(runs.map(({ load }) => load.latency.p99Ms));
  return {
    rows: [
      runsRow(ratePerSecond, { what: "requests/s", goal: { atLeast: MIN_RATE_PER_SECOND } }),
      runsRow(spreadOf([wrong]), {
        what: `wrong answers of ${VERIFIED_ANSWERS} verified`,
        goal: { atMost: 0 },
      }),
    ],
    details: [
      `CPU a request, all processes: ${spreadText(cpuUs)} µs; p99: ${spreadText(p99Ms)} ms`,
      ...processLines({ ours: runs }),
    ],
    data: { plan, verified: VERIFIED_ANSWERS, wrong, ratePerSecond, cpuUs, p99Ms, runs },
  };
}

async function countWrongAnswers(plan: LoadPlan, { server }: Gateway): Promise<number> {
  const check = {
    module: "bench/load/checks.ts",
    export: "returnsTensor",
    options: plan.requests[0]?.body,
  };
  const load = startLoad({
    ...plan,
    warmUpMs: 0,
    bound: { requests: VERIFIED_ANSWERS },
    check,
    target: server.address,
  });
  try {
    const { requests, ok } = await load.result;
    if (requests !== VERIFIED_ANSWERS)
      throw new Error(`expected ${VERIFIED_ANSWERS} answers, got ${requests}`);
    return requests - ok;
  } finally {
    load.close();
  }
}
