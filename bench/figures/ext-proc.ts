/** What the picker does behind Envoy: streams of ext_proc a second, and how long one waits to be told where it goes. */
import { join } from "node:path";
import { digits, runsRow, scaledCount, scaledPlan } from "../harness/figure.ts";
import type { Figure, FigureContext, FigureResult, FigureRow } from "../harness/figure.ts";
import { withGateway } from "../harness/gateway.ts";
import type { Gateway } from "../harness/gateway.ts";
import { cpuUsPerRequest, measureLoad } from "../harness/measure.ts";
import type { MeasuredLoad } from "../harness/measure.ts";
import { processLines } from "../harness/process-table.ts";
import { freePort } from "../harness/serve.ts";
import { spreadOf } from "../harness/spread.ts";
import { loadOf, parameterOf, readWorkload } from "../harness/workload.ts";
import type { Workload } from "../harness/workload.ts";

/** Loads in a closed loop, and the streams that a core has to do each second. */
const goals = { request: 15_000, streamed: 3_000, large: 400 } as const;
type Closed = keyof typeof goals;
const maxP99Ms = 10;

const titles: Readonly<Record<Closed, string>> = {
  request: "streams/s of one core, request phases, 0.7 KB",
  streamed: "streams/s of one core, with an answer of 20 pieces",
  large: "streams/s of one core, request phases, 220 KB",
};

/** Streams a second of the gateway's own CPU time: the generator has a core of its own only where there are enough. */
export const figure: Figure = {
  id: "ext-proc",
  title: "ext_proc streams, 10 endpoints, default profile",
  target:
    "request phases 15,000/s of one core, p99 under 10 ms at 5,000/s; with 20 pieces of an answer 3,000/s; 220 KB 400/s",
  run,
};

/** What one load came to, run after run. */
type Runs = Readonly<Record<Closed | "open", MeasuredLoad[]>>;

async function run(context: FigureContext): Promise<FigureResult> {
  const workload = await readWorkload("ext-proc");
  const runs: Runs = { request: [], streamed: [], large: [], open: [] };
  const port = await freePort();
  const options = { directory: join(context.directory, "gateway"), config: configOf(workload, port) };
  await withGateway(options, async (gateway) => {
    for (let round = 1; round <= scaledCount(parameterOf(workload, "runs"), context.scale); round += 1) {
      for (const role of ["request", "open", "streamed", "large"] as const) {
        const measured = await measure(workload, role, { gateway, port }, context);
        context.log(`round ${round}, ${role}: ${describe(measured)}`);
        runs[role].push(measured);
      }
    }
  });
  return judge(runs);
}

/** Ten servers that are not asked what they serve: nothing is sent to them. */
function configOf(workload: Workload, port: number): Readonly<Record<string, unknown>> {
  const endpoints = Array.from(
    { length: parameterOf(workload, "endpoints") },
    (_, index) => `http://127.0.0.2:${8_001 + index}`,
  );
  return {
    models: false,
    llama: false,
    predict: { features: false, prompt: false },
    discovery: false,
    extProc: { port, healthPort: false, tls: "none" },
    pools: { bench: { dialect: "openai", endpoints, passthrough: true, concurrency: 4096 } },
  };
}

function measure(
  workload: Workload,
  role: Closed | "open",
  { gateway, port }: { readonly gateway: Gateway; readonly port: number },
  { scale }: FigureContext,
): Promise<MeasuredLoad> {
  const target = { host: "127.0.0.1", port };
  return measureLoad(scaledPlan(loadOf(workload, role), scale), { servers: [gateway.server], target });
}

function describe(measured: MeasuredLoad): string {
  const { load } = measured;
  return `${digits(load.ratePerSecond)}/s, p99 ${digits(load.latency.p99Ms)} ms, ${digits(cpuUsPerRequest(measured, "gateway"))} µs each`;
}

function judge(runs: Runs): FigureResult {
  const ofCore = (role: Closed): FigureRow =>
    runsRow(spreadOf(runs[role].map((one) => 1_000_000 / cpuUsPerRequest(one, "gateway"))), {
      what: titles[role],
      goal: { atLeast: goals[role] },
    });
  const p99 = runsRow(spreadOf(runs.open.map(({ load }) => load.latency.p99Ms)), {
    what: "p99 at 5,000/s, ms",
    goal: { atMost: maxP99Ms },
  });
  return {
    rows: [ofCore("request"), p99, ofCore("streamed"), ofCore("large")],
    details: processLines({
      "request phases": runs.request,
      "5,000/s": runs.open,
      "20 pieces": runs.streamed,
      "220 KB": runs.large,
    }),
    data: { runs },
  };
}
