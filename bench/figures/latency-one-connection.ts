/** What the way through the gateway adds to one request alone. */
import { prepareModels } from "../harness/bench-models.ts";
import { digits, pairedLine, pairedRow, scaledMs, scaledPlan } from "../harness/figure.ts";
import type { Figure, FigureContext, FigureResult } from "../harness/figure.ts";
import { withGateway } from "../harness/gateway.ts";
import { runInProcess } from "../harness/in-process.ts";
import type { BatchResult } from "../harness/in-process.ts";
import { measureLoad } from "../harness/measure.ts";
import type { MeasuredLoad } from "../harness/measure.ts";
import { comparePairs, runPairs } from "../harness/pairs.ts";
import type { Round } from "../harness/pairs.ts";
import { processLines } from "../harness/process-table.ts";
import type { ServerProcess } from "../harness/serve.ts";
import { loadOf, parameterOf, readWorkload } from "../harness/workload.ts";
import type { Workload } from "../harness/workload.ts";

const MAX_ADDED_MS = 0.5;

/** The gateway's median latency at one connection less that of the model alone. */
export const figure: Figure = {
  id: "latency-one-connection",
  title: "added latency at one connection, small MLP",
  target: "p50 at most 0.5 ms over the in-process run",
  run,
};

/** A run of either side; the reference has one latency for both dialects. */
interface Run {
  readonly jsonMs: number;
  readonly binaryMs: number;
  readonly json?: MeasuredLoad;
  readonly binary?: MeasuredLoad;
  readonly inProcess?: BatchResult;
}

async function run(context: FigureContext): Promise<FigureResult> {
  const workload = await readWorkload("latency-one-connection");
  const models = await prepareModels(workload, context.directory);
  const onnxFile = models.onnxFiles["mlp64"] ?? "";
  const rounds = await withGateway({ directory: context.directory, models }, ({ server }) =>
    runPairs<Run>({
      pairs: context.pairs,
      ours: () => throughGateway(workload, server, context),
      reference: () => inProcess(workload, onnxFile, context),
      onRun: ({ jsonMs, binaryMs }, { round, side }) =>
        context.log(`round ${round}, ${side}: p50 JSON ${digits(jsonMs)} ms, binary ${digits(binaryMs)} ms`),
    }),
  );
  return judge(rounds);
}

function judge(rounds: readonly Round<Run>[]): FigureResult {
  const json = comparePairs(rounds, "difference", ({ jsonMs }) => jsonMs);
  const binary = comparePairs(rounds, "difference", ({ binaryMs }) => binaryMs);
  const goal = { atMost: MAX_ADDED_MS };
  const loads = (of: "json" | "binary"): MeasuredLoad[] =>
    rounds.flatMap(({ ours }) => (ours[of] === undefined ? [] : [ours[of]]));
  return {
    rows: [
      pairedRow("difference", json, { what: "added p50, JSON, ms", goal }),
      pairedRow("difference", binary, { what: "added p50, binary, ms", goal }),
    ],
    details: [
      pairedLine("p50, JSON", json, "ms"),
      pairedLine("p50, binary", binary, "ms"),
      ...processLines({ "ours (JSON)": loads("json"), "ours (binary)": loads("binary") }),
    ],
    data: { json, binary, rounds },
  };
}

async function throughGateway(
  workload: Workload,
  server: ServerProcess,
  { scale }: FigureContext,
): Promise<Run> {
  const measure = (role: string): Promise<MeasuredLoad> =>
    measureLoad(scaledPlan(loadOf(workload, role), scale), { servers: [server] });
  const json = await measure("main");
  const binary = await measure("binary");
  return { jsonMs: json.load.latency.p50Ms, binaryMs: binary.load.latency.p50Ms, json, binary };
}

async function inProcess(workload: Workload, model: string, { scale }: FigureContext): Promise<Run> {
  const { batches } = await runInProcess({
    model,
    batches: [1],
    durationMs: scaledMs(parameterOf(workload, "inProcessDurationMs"), scale),
    warmUpMs: scaledMs(parameterOf(workload, "inProcessWarmUpMs"), scale),
  });
  const [one] = batches;
  if (one === undefined) throw new Error("the in-process reference measured nothing");
  return { jsonMs: one.latency.p50Ms, binaryMs: one.latency.p50Ms, inProcess: one };
}
