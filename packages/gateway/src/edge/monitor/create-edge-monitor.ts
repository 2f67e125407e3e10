/** The status monitor: counts what the edge endpoint does, keeps it over restarts, and tells it to whoever looks. */
import type { EdgeObserver, QueryObservation } from "../../contracts/edge-observer.ts";
import type {
  Activity as StoredActivity,
  EdgeStore,
  StoredQuery,
  OutboxState,
  RejectedEscalation,
} from "../../contracts/edge-store.ts";
import type { Logger, Metrics } from "../../contracts/telemetry.ts";
import { sleep, type Clock, type Timer } from "../../core/clock.ts";
import { isFailure } from "../../core/errors.ts";
import { Activity } from "./activity.ts";
import { hourMs, kept, type Unwritten } from "./detector-activity.ts";
import { DeviceHours } from "./device-hours.ts";
import { createEdgeMetrics } from "./edge-metrics.ts";
import type { MonitoredParts } from "./monitored.ts";
import { maxRecent, RecentQueries, type RecentQuery } from "./recent-queries.ts";

/** How often counters are written behind and the outbox is looked at, ms. */
const flushMs = 5_000;
/** How often it is written that this device was up: seldom, to spare flash. */
const upMs = 300_000;
/** Between attempts to read what earlier processes counted. */
const retryMs = 5_000;
const maxAttempts = 5;
/** What waits to be written until that has been read. */
const maxHeld = 20_000;
const rejectedShown = 10;

/** What the monitor needs. */
export interface EdgeMonitorOptions extends MonitoredParts {
  readonly store: EdgeStore;
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly log: Logger;
  /** Reads a stored query; undefined: it cannot be read. Absent: those of earlier processes are not shown. */
  readonly readRecent?: (query: StoredQuery) => RecentQuery | undefined;
}

/** Counts, and what was counted. */
export interface EdgeMonitor extends EdgeObserver {
  readonly activity: Activity;
  readonly recent: RecentQueries;
  readonly device: DeviceHours;
  readonly parts: MonitoredParts;
  /** The last known; undefined before the first. */
  readonly outbox: OutboxState | undefined;
  /** The last ones given up, newest first. */
  readonly rejected: readonly RejectedEscalation[];
  /** False while what earlier processes counted is being read. */
  readonly restored: boolean;
  /** Wall time of the start, ms. */
  readonly startedAt: number;
  /**
   * Reads what earlier processes counted, and writes from then on. Never rejects. Happens by itself with the first thing to
   * count; until then the store is not asked for anything.
   */
  start(): Promise<void>;
  /** Says to the store what this device did in an hour: seconds it was up, or that the cloud has been told. */
  note(hour: number, name: "up" | "reported", value: number): void;
  /** Moves what was counted to where it is read, and to the store. */
  flush(): void;
  /** Writes what was counted. Idempotent. */
  close(): void;
}

/** Makes the monitor. */
export function createEdgeMonitor(options: EdgeMonitorOptions): EdgeMonitor {
  return new Monitor(options);
}

class Monitor implements EdgeMonitor {
  readonly activity = new Activity();
  readonly recent = new RecentQueries();
  readonly device = new DeviceHours();
  readonly parts: MonitoredParts;
  readonly startedAt: number;
  outbox: OutboxState | undefined;
  rejected: readonly RejectedEscalation[] = [];
  #started: Promise<void> | undefined;
  #hasRead = false;
  readonly #options: EdgeMonitorOptions;
  readonly #metrics: EdgeObserver;
  readonly #write: (detectorId: string, unwritten: Unwritten) => void;
  #held: [string, Unwritten][] = [];
  #timer: Timer | undefined;
  #upSince: number;
  #closed = false;

  constructor(options: EdgeMonitorOptions) {
    this.#options = options;
    this.parts = options;
    this.startedAt = options.clock.wallNow();
    this.#upSince = this.startedAt;
    const write = (detectorId: string, unwritten: Unwritten): void => this.#keep(detectorId, unwritten);
    this.#write = write;
    this.#metrics = createEdgeMetrics(options.metrics, {
      detectors: () => options.detectors(),
      cloud: () => options.cloud(),
      outboxBytes: options.outboxBytes,
      outbox: () => this.outbox,
      store: () => options.store.counters,
      now: () => options.clock.wallNow(),
    });
  }

  get restored(): boolean {
    return this.#started === undefined || this.#hasRead;
  }

  answered(observation: QueryObservation): void {
    if (this.#started === undefined) void this.start();
    this.activity.answered(observation);
    this.recent.add(observation);
    this.#metrics.answered(observation);
  }

  compared(observation: Parameters<EdgeObserver["compared"]>[0]): void {
    if (this.#started === undefined) void this.start();
    this.activity.compared(observation);
    this.recent.compared(observation);
    this.#metrics.compared(observation);
  }

  delivered(observation: Parameters<EdgeObserver["delivered"]>[0]): void {
    if (this.#started === undefined) void this.start();
    this.activity.delivered(observation);
    this.#metrics.delivered(observation);
  }

  start(): Promise<void> {
    return (this.#started ??= this.#begin());
  }

  async #begin(): Promise<void> {
    this.#schedule();
    await this.#lookAtOutbox();
    await this.#restoreRecent();
    await this.#restoreActivity();
    this.#writeHeld();
  }

  /** What was counted while the past was read: written before, it would have been read as a part of it. */
  #writeHeld(): void {
    this.#hasRead = true;
    for (const [id, unwritten] of this.#held) this.#keep(id, unwritten);
    this.#held = [];
  }

  flush(): void {
    const now = this.#options.clock.wallNow();
    this.activity.drain(now, this.#write);
    const isNewHour = Math.floor(now / hourMs) !== Math.floor(this.#upSince / hourMs);
    if (isNewHour || now - this.#upSince >= upMs) this.#countUp(now);
  }

  close(): void {
    if (this.#closed) return;
    this.#timer?.cancel();
    this.flush();
    this.#countUp(this.#options.clock.wallNow());
    this.#closed = true;
    this.#writeHeld();
  }

  note(hour: number, name: "up" | "reported", value: number): void {
    this.device.add(hour, name, value);
    this.#keep("", { hour, added: { [name]: value } });
  }

  /** For reports to the cloud: without one, or before the start, there is nothing to write. */
  #countUp(now: number): void {
    if (this.#started === undefined || this.#options.cloud() === undefined) return;
    const hour = Math.floor(now / hourMs);
    const before = Math.min(now, Math.max(this.#upSince, hour * hourMs));
    const ofLast = (before - this.#upSince) / 1_000;
    const seconds = (now - before) / 1_000;
    this.#upSince = now;
    if (ofLast > 0) this.note(hour - 1, "up", ofLast);
    if (seconds > 0) this.note(hour, "up", seconds);
  }

  #keep(detectorId: string, unwritten: Unwritten): void {
    if (this.#hasRead) this.#options.store.count(detectorId, unwritten.added, unwritten.hour);
    else if (this.#held.length < maxHeld) this.#held.push([detectorId, unwritten]);
  }

  #schedule(): void {
    const turn = (): void => {
      this.flush();
      void this.#lookAtOutbox();
      this.#schedule();
    };
    if (!this.#closed) this.#timer = this.#options.clock.after(flushMs, turn);
  }

  async #lookAtOutbox(): Promise<void> {
    const { outbox } = this.#options.store;
    const state = await outbox.state();
    if (isFailure(state)) return;
    const changed = state.rejected !== this.outbox?.rejected;
    this.outbox = state;
    if (!changed) return;
    const rejected = await outbox.rejected(rejectedShown);
    if (!isFailure(rejected)) this.rejected = rejected;
  }

  async #restoreRecent(): Promise<void> {
    const read = this.#options.readRecent;
    if (read === undefined) return;
    const page = await this.#options.store.queries({ offset: 0, limit: maxRecent });
    if (isFailure(page)) return;
    this.recent.restore(page.queries.flatMap((query) => read(query) ?? []));
  }

  /** An hour at a time, the newest first, so that no turn of the loop takes long. */
  async #restoreActivity(): Promise<void> {
    const last = Math.floor(this.startedAt / hourMs);
    for (let hour = last; hour > last - kept.days * 24 && !this.#closed; hour -= 1) {
      const rows = await this.#readHour(hour);
      if (rows === undefined) return;
      const now = this.#options.clock.wallNow();
      for (const row of rows)
        if (row.detectorId === "") this.device.add(row.hour, row.name, row.value);
        else this.activity.restore(row, now);
    }
  }

  async #readHour(hour: number): Promise<readonly StoredActivity[] | undefined> {
    const { store, clock, log } = this.#options;
    for (let attempt = 1; !this.#closed; attempt += 1) {
      const rows = await store.activity(hour, hour);
      if (!isFailure(rows)) return rows;
      if (attempt === maxAttempts) {
        log.warn("edge_activity_unread", { hour, reason: rows.message });
        break;
      }
      await sleep(clock, retryMs);
    }
    return undefined;
  }
}
