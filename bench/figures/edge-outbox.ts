/** Whether what the edge endpoint promised to send reaches the cloud, once, over an outage, kills and power cuts. */
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { systemClock } from "../../packages/gateway/src/core/clock.ts";
import { isFailure } from "../../packages/gateway/src/core/errors.ts";
import { openEdgeStore } from "../../packages/gateway/src/store/open-edge-store.ts";
import type { EdgeStore } from "../../packages/gateway/src/contracts/edge-store.ts";
import { runOutboxTrial, type OutboxOutcome } from "../../test/harness/outbox-trial.ts";
import { digits, runsRow } from "../harness/figure.ts";
import type { Figure, FigureContext, FigureResult, FigureRow, Scale } from "../harness/figure.ts";
import { spreadOf } from "../harness/spread.ts";
import { parameterOf, readWorkload } from "../harness/workload.ts";
import type { Workload } from "../harness/workload.ts";

/** The outbox over an hour without the cloud. */
export const figure: Figure = {
  id: "edge-outbox",
  title: "10,000 escalations over an hour without the cloud, 5 kills",
  target: "0 lost; each id once at the cloud, sent at least once",
  run,
};

/** Below full scale the outage is as long, on a quicker clock. */
const smaller = {
  quick: { escalations: 400, clockFactor: 900, copies: 4, kills: 5, enqueues: 100 },
  smoke: { escalations: 60, clockFactor: 3_600, copies: 2, kills: 3, enqueues: 20 },
} as const;

/** What promises cost. */
interface Costs {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly perSecond: number;
}

async function run(context: FigureContext): Promise<FigureResult> {
  const workload = await readWorkload("edge-outbox");
  const folder = path.join(context.directory, "outbox");
  await mkdir(folder, { recursive: true });
  const small = context.scale === "full" ? undefined : smaller[context.scale];
  const outcome = await runOutboxTrial({
    folder,
    escalations: small?.escalations ?? parameterOf(workload, "escalations"),
    detectors: parameterOf(workload, "detectors"),
    pictureBytes: parameterOf(workload, "pictureBytes"),
    outageMs: parameterOf(workload, "outageMs"),
    factor: small?.clockFactor ?? parameterOf(workload, "clockFactor"),
    kills: small?.kills ?? parameterOf(workload, "kills"),
    copies: small?.copies ?? parameterOf(workload, "copies"),
    cutShare: parameterOf(workload, "cutShare"),
    seed: parameterOf(workload, "seed"),
    log: (line) => context.log(line),
  });
  const costs = await measureCosts(workload, path.join(context.directory, "costs"), context.scale);
  return judge(outcome, costs, workload);
}

function judge(outcome: OutboxOutcome, costs: Costs, workload: Workload): FigureResult {
  const { promised, kills, copies } = outcome;
  const none = (what: string, value: number): FigureRow =>
    runsRow(spreadOf([value]), { what, goal: { atMost: 0 } });
  const kilobytes = digits(parameterOf(workload, "latencyPictureBytes") / 1_000);
  return {
    rows: [
      none(`lost of ${promised} over ${kills} kills`, outcome.lost),
      none("left behind or given up", outcome.left),
      none("queries at the cloud beyond one for each id", outcome.twice),
      none("before an earlier one of their detector", outcome.outOfOrder),
      none(`lost in ${copies} copies of the folder`, outcome.lostInCopies),
    ],
    details: [
      `sent again ${outcome.repetitions} times, for a kill or an answer that broke off: the same query at the cloud`,
      `${outcome.attemptsInOutage} requests while the cloud was away, over ${kills + 1} starts; then ${digits((promised / outcome.drainMs) * 1_000)} a second, kills and copies included`,
      `one promise with a picture of ${kilobytes} kB on this disk, one at a time: p50 ${digits(costs.p50Ms)} ms, p99 ${digits(costs.p99Ms)} ms; ${parameterOf(workload, "rateConcurrency")} at once: ${digits(costs.perSecond)} a second`,
    ],
    data: { outcome, costs },
  };
}

async function measureCosts(workload: Workload, folder: string, scale: Scale): Promise<Costs> {
  const silent = { error() {}, warn() {}, info() {}, debug() {} };
  const store = await openEdgeStore({ folder, clock: systemClock, log: silent });
  if (isFailure(store)) throw new Error(store.message);
  const small = scale === "full" ? undefined : smaller[scale].enqueues;
  const bytes = parameterOf(workload, "latencyPictureBytes");
  let n = 0;
  const times: number[] = [];
  for (const last = small ?? parameterOf(workload, "latencyEnqueues"); n < last; n++) {
    const startedAt = performance.now();
    await enqueue(store, n, bytes);
    times.push(performance.now() - startedAt);
  }
  const end = n + (small ?? parameterOf(workload, "rateEnqueues"));
  const first = n;
  const startedAt = performance.now();
  const worker = async (): Promise<void> => {
    while (n < end) await enqueue(store, n++, bytes);
  };
  await Promise.all(Array.from({ length: parameterOf(workload, "rateConcurrency") }, worker));
  const seconds = (performance.now() - startedAt) / 1_000;
  await store.close();
  times.sort((a, b) => a - b);
  const at = (share: number): number => times[Math.ceil(share * times.length) - 1] ?? 0;
  return { p50Ms: at(0.5), p99Ms: at(0.99), perSecond: (end - first) / seconds };
}

async function enqueue(store: EdgeStore, n: number, bytes: number): Promise<void> {
  const picture = { bytes: Buffer.alloc(bytes, n % 251), mediaType: "image/jpeg" };
  const answer = await store.outbox.enqueue({
    id: `iq_${n}`,
    detectorId: `det_${n % 8}`,
    kind: "query",
    payload: JSON.stringify({ n }),
    picture,
  });
  if (answer !== "queued") throw new Error(`${n} was not queued: ${JSON.stringify(answer)}`);
}
