/** Whether cameras whose pictures are answered at the edge notice what becomes of the cloud. */
import { mkdir } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { withEdgeRig } from "../harness/edge-rig.ts";
import type { EdgeRig } from "../harness/edge-rig.ts";
import { digits, pairedLine, pairedRow, runsRow, scaledMs, scaledPlan } from "../harness/figure.ts";
import type { Figure, FigureContext, FigureResult, FigureRow } from "../harness/figure.ts";
import { urlOf } from "../harness/gateway.ts";
import { measureLoad } from "../harness/measure.ts";
import type { MeasuredLoad } from "../harness/measure.ts";
import { comparePairs, runPairs, runsOf } from "../harness/pairs.ts";
import type { PairedResult, Round } from "../harness/pairs.ts";
import { withPicture } from "../harness/picture.ts";
import { processLines } from "../harness/process-table.ts";
import { fetchMetrics, findMetric } from "../harness/prometheus.ts";
import { SimulatedCloud } from "../harness/simulated-cloud.ts";
import { spreadOf } from "../harness/spread.ts";
import { loadOf, parameterOf, readWorkload } from "../harness/workload.ts";
import type { LoadResult } from "../load/load-result.ts";
import type { LoadPlan } from "../load/load-spec.ts";
import { startLoad } from "../load/start-load.ts";

const MAX_P99_RATIO = 1.25;
const TOKEN = "api_bench_device_00001";
const SETTLE_TIMEOUT_MS = 15_000;
const POLL_MS = 50;
const troubles = ["down", "slow", "flapping"] as const;

/** The p99 of sure answers with the cloud in trouble over that with the cloud up, alone and beside unsure ones. */
export const figure: Figure = {
  id: "edge-cloud-away",
  title: "sure answers while the cloud is down, slow (2 s) or flapping, 150 image queries/s",
  target: "0 failures; p99 at most 1.25 × its p99 with the cloud up",
  run,
};

type Trouble = (typeof troubles)[number];

/** The sure detector's load, and that of the unsure one beside it. */
interface Beside {
  readonly sure: MeasuredLoad;
  readonly unsure: LoadResult;
}

/** A run of either side; with the cloud up the troubles are one and the same load. */
interface Run {
  readonly alone: MeasuredLoad;
  readonly beside: Readonly<Record<Trouble, Beside>>;
}

interface Rig extends EdgeRig {
  readonly cloud: SimulatedCloud;
  readonly settleMs: number;
  readonly sure: LoadPlan;
  readonly unsure: LoadPlan;
}

async function run(context: FigureContext): Promise<FigureResult> {
  const workload = await readWorkload("edge-cloud-away");
  const { directory } = context;
  await mkdir(directory, { recursive: true });
  const [slowMs, flapMs] = [parameterOf(workload, "slowMs"), parameterOf(workload, "flapMs")];
  const settleMs = scaledMs(parameterOf(workload, "settleMs"), context.scale);
  const ids = { sure: idOf(loadOf(workload, "sure")), unsure: idOf(loadOf(workload, "unsure")) };
  const cloud = await SimulatedCloud.start({ directory, cloud: cloudOf(Object.values(ids)), slowMs, flapMs });
  const edge = { cloud: { origin: urlOf(cloud.address, ""), token: TOKEN }, auditRate: 0 };
  const detector = (id: string): Record<string, unknown> => ({
    confidenceThreshold: id === ids.sure ? 0 : 1,
  });
  try {
    return await withEdgeRig(workload, { directory, edge, detector }, async (rig) => {
      const planOf = (role: string): LoadPlan =>
        withPicture(scaledPlan(loadOf(workload, role), context.scale), rig.picture);
      const all = { ...rig, cloud, settleMs, sure: planOf("sure"), unsure: planOf("unsure") };
      await expectAnswers(all);
      const rounds = await runPairs<Run>({
        pairs: context.pairs,
        ours: () => inTrouble(all),
        reference: () => withCloud(all),
        onRun: (one, { round, side }) => context.log(`round ${round}, ${side}: p99 ${lineOf(one)}`),
      });
      return judge(rounds);
    });
  } finally {
    await cloud.close();
  }
}

function judge(rounds: readonly Round<Run>[]): FigureResult {
  const alone = comparePairs(rounds, "ratio", (one) => one.alone.load.latency.p99Ms);
  const beside = troubles.map(
    (trouble) => [trouble, comparePairs(rounds, "ratio", (one) => p99Of(one.beside[trouble]))] as const,
  );
  const ours = runsOf(rounds, "ours");
  const sure = ours.flatMap((one) => [one.alone, ...troubles.map((each) => one.beside[each].sure)]);
  const unsure = ours.flatMap((one) => troubles.map((each) => one.beside[each].unsure));
  const row = (what: string, result: PairedResult): FigureRow =>
    pairedRow("ratio", result, {
      what: `p99 over p99 with the cloud up, ${what}`,
      goal: { atMost: MAX_P99_RATIO },
    });
  const none = (what: string, loads: readonly LoadResult[]): FigureRow =>
    runsRow(spreadOf([loads.reduce((sum, { errors }) => sum + errors, 0)]), {
      what: `failed of ${loads.reduce((sum, { requests }) => sum + requests, 0)} ${what}`,
      goal: { atMost: 0 },
    });
  return {
    rows: [
      none(
        "sure ones in trouble",
        sure.map(({ load }) => load),
      ),
      none("unsure ones in trouble", unsure),
      row("all sure, cloud flapping", alone),
      ...beside.map(([trouble, result]) => row(`unsure ones beside, cloud ${trouble}`, result)),
    ],
    details: [
      pairedLine("p99, all sure, cloud flapping", alone, "ms"),
      ...beside.map(([trouble, result]) =>
        pairedLine(`p99, unsure ones beside, cloud ${trouble}`, result, "ms"),
      ),
      ...troubles.map((trouble) => unsureLine(trouble, ours)),
      ...processLines({
        "in trouble": sure,
        "cloud up": runsOf(rounds, "reference").flatMap((one) => [one.alone, one.beside.down.sure]),
      }),
    ],
    data: { alone, beside: Object.fromEntries(beside), rounds },
  };
}

async function inTrouble(rig: Rig): Promise<Run> {
  await settle(rig);
  await rig.cloud.become("flapping");
  const alone = await measureLoad(rig.sure, { servers: [rig.gateway.server] });
  const beside: Partial<Record<Trouble, Beside>> = {};
  for (const trouble of troubles) {
    await settle(rig);
    await rig.cloud.become(trouble);
    beside[trouble] = await besideUnsure(rig);
  }
  return { alone, beside: beside as Record<Trouble, Beside> };
}

async function withCloud(rig: Rig): Promise<Run> {
  await settle(rig);
  const alone = await measureLoad(rig.sure, { servers: [rig.gateway.server] });
  const up = await besideUnsure(rig);
  return { alone, beside: { down: up, slow: up, flapping: up } };
}

/** The unsure detector's callers are at it before the sure one's window begins and until after it ends. */
async function besideUnsure({ gateway, sure, unsure }: Rig): Promise<Beside> {
  const { server } = gateway;
  const bound = { durationMs: 600_000 };
  const neighbour = startLoad({ ...unsure, bound, target: server.address });
  try {
    await neighbour.measuring;
    const measured = await measureLoad(sure, { servers: [server] });
    neighbour.stop();
    return { sure: measured, unsure: await neighbour.result };
  } finally {
    neighbour.close();
  }
}

/** The cloud is up, the gateway knows it, and what waited for it is there: nothing of one state is left for the next. */
async function settle({ cloud, gateway, settleMs }: Rig): Promise<void> {
  await cloud.become("up");
  const endMs = performance.now() + SETTLE_TIMEOUT_MS;
  for (;;) {
    const samples = await fetchMetrics(urlOf(gateway.server.address, "/metrics"));
    const waiting = findMetric(samples, "spillway_edge_outbox_waiting");
    if (waiting === undefined) throw new Error("the gateway does not tell what waits for the cloud");
    if (waiting === 0) return sleep(settleMs);
    if (performance.now() > endMs) throw new Error(`${waiting} queries still wait for a cloud that is up`);
    await sleep(POLL_MS);
  }
}

/** Throws unless the one detector is sure of the picture, and the other asks the cloud. */
async function expectAnswers({ sure, unsure, picture, gateway }: Rig): Promise<void> {
  for (const [plan, expected] of [
    [sure, "edge"],
    [unsure, "cloud"],
  ] as const) {
    const url = urlOf(gateway.server.address, plan.requests[0]?.path ?? "");
    const headers = { "content-type": "image/jpeg" };
    const answer = await fetch(url, { method: "POST", headers, body: new Uint8Array(picture) });
    const by = answer.headers.get("x-spillway-answered-by");
    const text = await answer.text();
    if (!answer.ok || by !== expected)
      throw new Error(`expected an answer of the ${expected}, got ${by}: ${text}`);
  }
}

/** Has the same detectors, and answers at once. */
function cloudOf(ids: readonly string[]): Record<string, unknown> {
  return {
    tokens: [TOKEN],
    detectors: ids.map((id) => ({
      id,
      name: id,
      query: "What is this?",
      mode: "MULTI_CLASS",
      modeConfiguration: { class_names: ["0", "1", "2", "3"] },
    })),
  };
}

function idOf(plan: LoadPlan): string {
  return new URL(plan.requests[0]?.path ?? "", "http://edge").searchParams.get("detector_id") ?? "";
}

function p99Of({ sure }: Beside): number {
  return sure.load.latency.p99Ms;
}

function lineOf({ alone, beside }: Run): string {
  const each = troubles.map((trouble) => `${trouble} ${digits(p99Of(beside[trouble]))}`);
  return `alone ${digits(alone.load.latency.p99Ms)} ms; beside unsure ones ${each.join(", ")} ms`;
}

function unsureLine(trouble: Trouble, runs: readonly Run[]): string {
  const of = runs.map((one) => one.beside[trouble].unsure);
  const p50Ms = spreadOf(of.map(({ latency }) => latency.p50Ms)).median;
  const maxMs = spreadOf(of.map(({ latency }) => latency.maxMs)).max;
  return `unsure ones, cloud ${trouble}: p50 ${digits(p50Ms)} ms, worst ${digits(maxMs)} ms`;
}
