/** What the gateway costs when the model costs nothing: KServe v2 JSON against a bare JSON echo. */
import { prepareModels } from "../harness/bench-models.ts";
import { digits, pairedLine, pairedRow, scaledPlan } from "../harness/figure.ts";
import type { Figure, FigureContext, FigureResult } from "../harness/figure.ts";
import { withGateway } from "../harness/gateway.ts";
import { cpuUsPerRequest, measureLoad } from "../harness/measure.ts";
import type { MeasuredLoad } from "../harness/measure.ts";
import { comparePairs, runPairs, runsOf } from "../harness/pairs.ts";
import type { Round } from "../harness/pairs.ts";
import { processLines } from "../harness/process-table.ts";
import { withServer } from "../harness/serve.ts";
import { loadOf, readWorkload } from "../harness/workload.ts";
import type { LoadPlan } from "../load/load-spec.ts";

const MIN_SHARE_OF_ECHO = 0.6;

/** The gateway's rate against that of a bare `node:http` server that parses and writes the same bytes. */
export const figure: Figure = {
  id: "mlp64-json",
  title: "small MLP (64 floats), JSON v2, 64 connections",
  target: "60 % of the rate of a bare node:http JSON echo server",
  run,
};

async function run(context: FigureContext): Promise<FigureResult> {
  const workload = await readWorkload("mlp64-json");
  const models = await prepareModels(workload, context.directory);
  const plan = scaledPlan(loadOf(workload), context.scale);
  const echo = {
    name: "echo",
    script: "bench/reference/echo-json.ts",
    ready: { kind: "message" },
  } as const;
  const rounds = await withGateway({ directory: context.directory, models }, ({ server: gateway }) =>
    withServer(echo, (reference) =>
      runPairs({
        pairs: context.pairs,
        ours: () => measureLoad(plan, { servers: [gateway] }),
        reference: () => measureLoad(plan, { servers: [reference] }),
        onRun: ({ load }, { round, side }) =>
          context.log(`round ${round}, ${side}: ${digits(load.ratePerSecond)}/s`),
      }),
    ),
  );
  return judge(rounds, plan);
}

function judge(rounds: readonly Round<MeasuredLoad>[], plan: LoadPlan): FigureResult {
  const rate = comparePairs(rounds, "ratio", ({ load }) => load.ratePerSecond);
  const cpuUs = comparePairs(rounds, "ratio", (run) => cpuUsPerRequest(run));
  const p99Ms = comparePairs(rounds, "ratio", ({ load }) => load.latency.p99Ms);
  return {
    rows: [
      pairedRow("ratio", rate, { what: "rate over the echo server's", goal: { atLeast: MIN_SHARE_OF_ECHO } }),
    ],
    details: [
      pairedLine("rate", rate, "requests/s"),
      pairedLine("CPU a request, all processes", cpuUs, "µs"),
      pairedLine("p99", p99Ms, "ms"),
      ...processLines({ ours: runsOf(rounds, "ours"), reference: runsOf(rounds, "reference") }),
    ],
    data: { plan, rate, cpuUs, p99Ms, rounds },
  };
}
