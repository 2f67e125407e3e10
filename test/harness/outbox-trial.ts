/** Escalations through an outage, kills of the process and copies of its folder: what was lost, repeated, out of order. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import path from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { startCloud, type CloudSimulator } from "@spillway/simulator";
import { systemClock } from "../../packages/gateway/src/core/clock.ts";
import { isFailure } from "../../packages/gateway/src/core/errors.ts";
import { openEdgeStore } from "../../packages/gateway/src/store/open-edge-store.ts";
import { detectorOf, idOf, labelOf, numberOf, type OutboxEdgeOptions } from "./outbox-ids.ts";

/** How a trial is run. */
export interface OutboxTrial {
  /** An empty folder. */
  readonly folder: string;
  readonly escalations: number;
  readonly detectors: number;
  readonly pictureBytes: number;
  /** Simulated, ms. */
  readonly outageMs: number;
  /** Simulated milliseconds in a real one. */
  readonly factor: number;
  /** Kills: two while queueing, one in the outage, the rest while the queue empties. At least 4. */
  readonly kills: number;
  /** Copies of the folder, spread over the trial. */
  readonly copies: number;
  /** Share of answers that break off after the cloud has taken the query, 0 to 1. */
  readonly cutShare: number;
  readonly seed: number;
  readonly log?: (line: string) => void;
}

/** What came of it. */
export interface OutboxOutcome {
  /** Promised to whoever queued them, labels included. */
  readonly promised: number;
  /** Promised and neither at the cloud nor waiting at the end. */
  readonly lost: number;
  /** Left in the outbox at the end, or given up. */
  readonly left: number;
  /** Queries at the cloud beyond one for each id. */
  readonly twice: number;
  /** Times a query was sent beyond its first. */
  readonly repetitions: number;
  /** Queries that reached the cloud before an earlier one of their detector. */
  readonly outOfOrder: number;
  readonly kills: number;
  readonly copies: number;
  /** Promised before a copy was taken, and neither in it nor at the cloud by then; over all copies. */
  readonly lostInCopies: number;
  /** How long the cloud was away, simulated: longer than asked for where queueing took longer. */
  readonly awayMs: number;
  /** Requests of the cloud while it was away. */
  readonly attemptsInOutage: number;
  /** From the first request that the cloud answered to the last query, ms. */
  readonly drainMs: number;
  /** Of all queueing, real ms. */
  readonly queueMs: number;
}

interface Copy {
  readonly folder: string;
  readonly promised: readonly string[];
  readonly atCloud: ReadonlySet<string>;
}

interface Edge {
  readonly child: ChildProcess;
  readonly ended: Promise<unknown>;
  isOpen: boolean;
  hasQueuedAll: boolean;
}

const program = path.join(import.meta.dirname, "outbox-edge.ts");

/** Runs one. Rejects when something does not happen within two minutes. */
export async function runOutboxTrial(trial: OutboxTrial): Promise<OutboxOutcome> {
  const cloud = await startCloud(
    {
      tokens: ["api_trial_token_000001"],
      detectors: Array.from({ length: trial.detectors }, (_, n) => ({
        id: detectorOf(n, trial.detectors),
        name: `trial ${n}`,
      })),
      maxQueries: trial.escalations * 2,
      maxPictureBytes: 1e9,
    },
    { record: false, seed: trial.seed },
  );
  const run = new Run(trial, cloud);
  try {
    return await run.whole();
  } finally {
    run.end();
    await cloud.close();
  }
}

class Run {
  readonly #trial: OutboxTrial;
  readonly #cloud: CloudSimulator;
  readonly #promised = new Set<string>();
  readonly #copies: Copy[] = [];
  readonly #startedAt = Date.now();
  readonly #unit: () => number;
  #edge: Edge | undefined;
  #kills = 0;
  #next = 0;

  constructor(trial: OutboxTrial, cloud: CloudSimulator) {
    this.#trial = trial;
    this.#cloud = cloud;
    let state = trial.seed;
    // A linear congruential generator with the constants of Numerical Recipes.
    this.#unit = () => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return state / 2 ** 32;
    };
  }

  async whole(): Promise<OutboxOutcome> {
    const { escalations, factor, outageMs, cutShare, log = () => {} } = this.#trial;
    this.#cloud.faults.set([{ cutBeforeHeaders: true }]);
    await this.#queueAll();
    const queueMs = Date.now() - this.#startedAt;
    log(`${this.#promised.size} queued in ${queueMs} ms, ${this.#kills} kills`);
    await this.#killAt(() => Date.now() - this.#startedAt >= (outageMs / factor) * 0.6);
    await this.#until("the outage is over", () => Date.now() - this.#startedAt >= outageMs / factor);
    await this.#copyNow();
    const attemptsInOutage = this.#cloud.faults.list()[0]?.struck ?? 0;
    this.#cloud.faults.set(cutShare > 0 ? [{ cutBeforeFinal: true, probability: cutShare }] : []);
    const backAt = Date.now();
    const atCloud = (): number => this.#cloud.cloud.queries().length;
    const left = this.#trial.kills - this.#kills;
    for (let n = 1; n <= left; n++) await this.#killAt(() => atCloud() >= (escalations * n) / (left + 1));
    await this.#until("all queries are at the cloud", () => atCloud() >= escalations);
    const drainMs = Date.now() - backAt;
    const labelled = (): number => new Set(this.#cloud.cloud.labels().map(({ queryId }) => queryId)).size;
    await this.#until("all labels are at the cloud", () => labelled() >= Math.ceil(escalations / 10));
    await this.#closeEdge();
    log(`sent in ${drainMs} ms, ${this.#kills} kills, ${this.#copies.length} copies`);
    const { waiting, rejected } = await this.#leftOver();
    return {
      promised: this.#promised.size,
      lost: [...this.#promised].filter((id) => !this.#atCloud().has(id)).length,
      left: waiting + rejected,
      twice: atCloud() - new Set(this.#cloud.cloud.queries().map(({ id }) => id)).size,
      repetitions: this.#cloud.cloud.queries().reduce((sum, { sent }) => sum + sent - 1, 0),
      outOfOrder: this.#outOfOrder(),
      kills: this.#kills,
      copies: this.#copies.length,
      lostInCopies: await this.#lostInCopies(),
      awayMs: (backAt - this.#startedAt) * factor,
      attemptsInOutage,
      drainMs,
      queueMs,
    };
  }

  /** Ends what runs. */
  end(): void {
    this.#edge?.child.kill("SIGKILL");
  }

  async #queueAll(): Promise<void> {
    const { escalations, copies } = this.#trial;
    await this.#startEdge();
    for (const share of [0.3, 0.7]) {
      await this.#killAt(() => this.#promised.size >= escalations * share);
      if (copies > 0) await this.#copyNow();
    }
    await this.#until("all is queued", () => this.#edge?.hasQueuedAll === true);
  }

  /** The ids that cannot have been lost any more. */
  #atCloud(): Set<string> {
    const queries = this.#cloud.cloud.queries().map(({ id }) => id);
    const labels = this.#cloud.cloud.labels().map(({ queryId }) => labelOf(numberOf(queryId)));
    return new Set([...queries, ...labels]);
  }

  #outOfOrder(): number {
    const last = new Map<string, number>();
    let found = 0;
    for (const { id, detectorId } of this.#cloud.cloud.queries()) {
      const n = numberOf(id);
      if (n < (last.get(detectorId) ?? -1)) found += 1;
      last.set(detectorId, Math.max(n, last.get(detectorId) ?? -1));
    }
    return found;
  }

  #isPromised(n: number): boolean {
    return this.#promised.has(idOf(n)) && (n % 10 !== 0 || this.#promised.has(labelOf(n)));
  }

  async #startEdge(): Promise<void> {
    const { folder, escalations, detectors, pictureBytes, factor } = this.#trial;
    // Whoever has no answer asks again: what was not promised is queued once more.
    while (this.#isPromised(this.#next)) this.#next += 1;
    const first = this.#next;
    const options: OutboxEdgeOptions = {
      folder: path.join(folder, "data"),
      cloud: this.#cloud.url,
      startedAt: this.#startedAt,
      factor,
      first,
      count: escalations - first,
      detectors,
      pictureBytes,
    };
    const child = spawn(process.execPath, ["--conditions=source", program, JSON.stringify(options)], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    const edge: Edge = { child, ended: once(child, "close"), isOpen: false, hasQueuedAll: false };
    createInterface(child.stdout).on("line", (line) => {
      if (line === "open") edge.isOpen = true;
      else if (line === "all queued") edge.hasQueuedAll = true;
      else this.#promised.add(line.slice("queued ".length));
    });
    this.#edge = edge;
    await this.#until("the edge is open", () => edge.isOpen);
  }

  async #killAt(isTime: () => boolean): Promise<void> {
    await this.#until("it is time for a kill", isTime);
    await delay(this.#unit() * 20);
    this.#edge?.child.kill("SIGKILL");
    await this.#edge?.ended;
    this.#kills += 1;
    await this.#copySome();
    await this.#startEdge();
  }

  async #closeEdge(): Promise<void> {
    this.#edge?.child.stdin?.write("close\n");
    await this.#edge?.ended;
  }

  /** Copies at moments between two system calls of the process, as many as are due by now. */
  async #copySome(): Promise<void> {
    const due = Math.round((this.#trial.copies * this.#kills) / this.#trial.kills);
    if (this.#copies.length < due) await this.#copyNow();
  }

  async #copyNow(): Promise<void> {
    if (this.#copies.length >= this.#trial.copies) return;
    const { pid, exitCode, signalCode } = this.#edge?.child ?? {};
    const runs = pid !== undefined && exitCode === null && signalCode === null;
    if (runs) {
      process.kill(pid, "SIGSTOP");
      await this.#until("the edge has stopped", () => stateOf(pid) === "T");
    }
    // A line on its way here may be missed, and a query that the cloud has is one that may be gone from the outbox.
    const promised = [...this.#promised];
    const folder = path.join(this.#trial.folder, `copy-${this.#copies.length}`);
    mkdirSync(folder);
    cpSync(path.join(this.#trial.folder, "data"), folder, { recursive: true });
    await delay(5);
    const atCloud = this.#atCloud();
    if (runs) process.kill(pid, "SIGCONT");
    this.#copies.push({ folder, promised, atCloud });
  }

  async #leftOver(): Promise<{ waiting: number; rejected: number }> {
    const store = await openStore(path.join(this.#trial.folder, "data"));
    const state = await store.outbox.state();
    await store.close();
    if (isFailure(state)) throw new Error(state.message);
    return state;
  }

  async #lostInCopies(): Promise<number> {
    let lost = 0;
    for (const { folder, promised, atCloud } of this.#copies) {
      const held = await idsIn(folder);
      lost += promised.filter((id) => !held.has(id) && !atCloud.has(id)).length;
      rmSync(folder, { recursive: true });
    }
    return lost;
  }

  async #until(what: string, holds: () => boolean): Promise<void> {
    const giveUpAt = Date.now() + 120_000;
    while (!holds()) {
      const { exitCode } = this.#edge?.child ?? { exitCode: null };
      if (exitCode !== null && exitCode !== 0) throw new Error(`the edge ended with ${exitCode}`);
      if (Date.now() > giveUpAt) throw new Error(`in vain: ${what}`);
      await delay(5);
    }
  }
}

async function openStore(folder: string) {
  const silent = { error() {}, warn() {}, info() {}, debug() {} };
  // Later than all that was postponed on the simulated clock.
  const clock = { ...systemClock, wallNow: () => Date.now() + 3 * 86_400_000 };
  const store = await openEdgeStore({ folder, clock, log: silent });
  if (isFailure(store)) throw new Error(store.message);
  return store;
}

/** What waits in an outbox, pictures whole; a query with a damaged picture counts as lost. */
async function idsIn(folder: string): Promise<Set<string>> {
  const store = await openStore(folder);
  const held = new Set<string>();
  for (;;) {
    const claim = await store.outbox.claim(64);
    if (isFailure(claim)) throw new Error(claim.message);
    if (claim.items.length === 0) break;
    for (const { id, pictureLost } of claim.items) {
      if (!pictureLost) held.add(id);
      void store.outbox.acknowledge(id);
    }
  }
  await store.close();
  return held;
}

/** A letter for the state of a process, of /proc/PID/stat. */
function stateOf(pid: number): string | undefined {
  return /\) (\w)/.exec(readFileSync(`/proc/${pid}/stat`, "latin1"))?.[1];
}
