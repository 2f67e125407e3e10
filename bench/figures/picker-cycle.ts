/** What one decision of the scheduling layer costs, by the number of servers. */
import { cacheAwareScheduling } from "../../packages/gateway/src/plugins/default-scheduling.ts";
import { digits, runsRow, scaledCount, scaledMs } from "../harness/figure.ts";
import type { Figure, FigureContext, FigureResult, FigureRow } from "../harness/figure.ts";
import { PickerRig, promptOf } from "../harness/picker-rig.ts";
import { spreadOf, type Spread } from "../harness/spread.ts";
import { parameterOf, readWorkload } from "../harness/workload.ts";
import type { Workload } from "../harness/workload.ts";

/** The most that a cycle may take, µs, by servers. */
const goals = [
  [10, 5],
  [100, 40],
  [1_000, 400],
] as const;

export const figure: Figure = {
  id: "picker-cycle",
  title: "scheduling alone, default profile, prompts of 8,192 tokens with known hashes",
  target: "10 servers 5 µs, 100 servers 40 µs, 1,000 servers 400 µs",
  run,
};

/** Times of one size of fleet, µs. */
interface Measured {
  readonly servers: number;
  readonly cycle: Spread;
  /** What a request costs beside: telling plugins of its dispatch and its end. */
  readonly serve: Spread;
}

async function run(context: FigureContext): Promise<FigureResult> {
  const workload = await readWorkload("picker-cycle");
  const measured: Measured[] = [];
  const rows: FigureRow[] = [];
  for (const [servers, goal] of goals) {
    const one = await measure(workload, servers, context);
    measured.push(one);
    rows.push(runsRow(one.cycle, { what: `one cycle over ${servers} servers, µs`, goal: { atMost: goal } }));
    context.log(`${servers} servers: ${digits(one.cycle.median)} µs`);
  }
  const told = measured.map(({ servers, serve }) => `${digits(serve.median)} µs (${servers} servers)`);
  const details = [
    `beside its cycle a request costs, for noting what its server has then and confirming it at the end: ${told.join(", ")}`,
  ];
  return { rows, details, data: { measured } };
}

async function measure(workload: Workload, servers: number, { scale }: FigureContext): Promise<Measured> {
  const bytes = 4 * parameterOf(workload, "promptTokens");
  const shared = 4 * parameterOf(workload, "sharedTokens");
  const prompts = Array.from({ length: parameterOf(workload, "prompts") }, (_, index) =>
    promptOf(index, bytes, shared),
  );
  const rig = new PickerRig({ spec: cacheAwareScheduling, servers, prompts });
  await rig.prepare();
  fillCaches(rig);
  const { requests } = rig;
  const cycle = (index: number): void => {
    const request = requests[index % requests.length];
    if (request !== undefined) rig.pick(request);
  };
  const serve = (index: number): void => {
    const request = requests[index % requests.length];
    const server = rig.servers[(index * 7) % servers];
    if (request !== undefined && server !== undefined) rig.serve(request, server);
  };
  const runs = scaledCount(parameterOf(workload, "runs"), scale);
  const runMs = scaledMs(parameterOf(workload, "runMs"), scale);
  timeOf(cycle, scaledMs(parameterOf(workload, "warmUpMs"), scale));
  const cycles = Array.from({ length: runs }, () => timeOf(cycle, runMs));
  timeOf(serve, runMs);
  const serves = Array.from({ length: runs }, () => timeOf(serve, runMs / 4));
  return { servers, cycle: spreadOf(cycles), serve: spreadOf(serves) };
}

/** Every prompt is at a few servers, and one that all share in part at every one. */
function fillCaches(rig: PickerRig): void {
  const { servers, requests } = rig;
  for (const [index, server] of servers.entries()) {
    for (let n = 0; n < 4; n++) {
      const request = requests[(index * 4 + n) % requests.length];
      if (request !== undefined) rig.serve(request, server);
    }
  }
}

/** Time of one call, µs, over as many as fit into the time. */
function timeOf(call: (index: number) => void, ms: number): number {
  const startedAt = performance.now();
  let calls = 0;
  let elapsed = 0;
  do {
    for (let n = 0; n < 50; n++) call(calls++);
    elapsed = performance.now() - startedAt;
  } while (elapsed < ms);
  return (elapsed * 1_000) / calls;
}
