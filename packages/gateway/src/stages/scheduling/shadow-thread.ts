/**
 * The thread in which a pool's shadows run, seen from the live side: it is sent frames and believed only in numbers. One
 * that does not answer in time is ended, and the shadow that held it up rests.
 */
import { Worker } from "node:worker_threads";
import type { Logger } from "../../contracts/telemetry.ts";
import type { Clock, Timer } from "../../core/clock.ts";
import type { Frame } from "./shadow-frame.ts";
import {
  readMessage,
  type FromShadows,
  type ShadowSpec,
  type ShadowTally,
  type ShadowThreadData,
} from "./shadow-messages.ts";

/** Bounds of a thread. */
export interface ShadowLimits {
  /** Bytes of frames that the thread has not answered; beyond it cycles are left out. */
  readonly maxPendingBytes: number;
  /** How long a frame may take, ms. */
  readonly lateMs: number;
  /** How long the thread may take to be ready, ms. */
  readonly startMs: number;
  /** First and longest pause before it is started again, ms; each is twice the one before, until one thread has lasted for the longest. */
  readonly backoffMs: { readonly initial: number; readonly max: number };
  /** First and longest time that a shadow rests which held the thread up, ms; each is four times the one before. */
  readonly restMs: { readonly initial: number; readonly max: number };
  readonly heapMb: number;
}

/** Sensible bounds. */
export const defaultShadowLimits: ShadowLimits = {
  maxPendingBytes: 8_388_608,
  lateMs: 2_000,
  startMs: 30_000,
  backoffMs: { initial: 500, max: 60_000 },
  restMs: { initial: 10_000, max: 3_600_000 },
  heapMb: 256,
};

/** Who hears of a thread. */
export interface ThreadListener {
  /** A new thread is ready and knows of nothing. */
  ready(readsPrompts: boolean): void;
  /** What came of a frame of so many cycles. */
  tallied(tallies: readonly ShadowTally[], cycles: number): void;
  /** So many cycles were lost with a thread. */
  lost(cycles: number, reason: "late" | "crashed"): void;
  /** A shadow could not be made, or held up or broke its thread. */
  failed(shadow: string, reason: string): void;
}

/** What a thread needs. */
export interface ShadowThreadOptions {
  readonly pool: string;
  readonly shadows: readonly ShadowSpec[];
  /** The thread's program. */
  readonly program: URL;
  readonly pluginFiles: readonly string[];
  /** Names of live producers that hand on what they find. */
  readonly twins: readonly string[];
  readonly clock: Clock;
  readonly logger: Logger;
  readonly limits: ShadowLimits;
  readonly listener: ThreadListener;
}

interface Pending {
  readonly cycles: number;
  readonly bytes: number;
}

interface Resting {
  until: number;
  /** How long it rests the next time, ms. */
  nextMs: number;
}

/** One thread, and those that come after it. */
export class ShadowThread {
  readonly #options: ShadowThreadOptions;
  readonly #resting = new Map<string, Resting>();
  #worker: Worker | undefined;
  #running = new Int32Array(new SharedArrayBuffer(4));
  /** Shadows of the thread that runs, by their index there; those of `#out` were not made. */
  #active: readonly ShadowSpec[] = [];
  readonly #out = new Set<string>();
  #isReady = false;
  #pending: Pending[] = [];
  #pendingBytes = 0;
  #startedAt = 0;
  /** When the thread last showed that it goes on. */
  #progressAt = 0;
  #watch: Timer | undefined;
  #restart: Timer | undefined;
  #backoffMs: number;
  #closed = false;

  constructor(options: ShadowThreadOptions) {
    this.#options = options;
    this.#backoffMs = options.limits.backoffMs.initial;
  }

  /** True while the thread can take a further frame. */
  get takes(): boolean {
    return this.#isReady && this.#pendingBytes < this.#options.limits.maxPendingBytes;
  }

  stateOf(shadow: string): "running" | "starting" | "resting" {
    if (this.#isAsleep(shadow)) return "resting";
    return this.#isReady && !this.#out.has(shadow) ? "running" : "starting";
  }

  /** Starts the thread. Idempotent. */
  start(): void {
    if (this.#closed || this.#worker !== undefined) return;
    this.#restart?.cancel();
    const { shadows, pool, program, pluginFiles, twins, clock, limits } = this.#options;
    this.#active = shadows.filter(({ name }) => !this.#isAsleep(name));
    this.#out.clear();
    for (const each of shadows) if (!this.#active.includes(each)) this.#out.add(each.name);
    if (this.#active.length === 0) return this.#startLater(this.#soonestWake());
    this.#running = new Int32Array(new SharedArrayBuffer(4)).fill(-1);
    const running = this.#running;
    const workerData: ShadowThreadData = { shadows: this.#active, pool, pluginFiles, twins, running };
    const resourceLimits = { maxOldGenerationSizeMb: limits.heapMb };
    const worker = new Worker(program, { workerData, resourceLimits, stdout: true, stderr: true });
    worker.unref();
    worker.stdout.resume();
    worker.stderr.resume();
    this.#worker = worker;
    this.#startedAt = clock.now();
    this.#progressAt = this.#startedAt;
    let why = "it ended by itself";
    // Plugins of a user's own can post messages too: what cannot be read is not believed.
    worker.on("message", (message: unknown) => {
      const read = readMessage(message);
      if (read !== undefined) this.#hear(worker, read);
    });
    worker.on(
      "error",
      (error) => (why = error instanceof Error ? (error.stack ?? error.message) : String(error)),
    );
    worker.on("exit", () => this.#gone(worker, "crashed", why));
    this.#watchLater();
  }

  /** Sends a frame. Only while it `takes`, but for what follows within the same turn. */
  send(frame: Frame): void {
    const worker = this.#worker;
    if (worker === undefined || !this.#isReady) return;
    const bytes = frame.numbers.byteLength + frame.bytes.byteLength;
    if (this.#pending.length === 0) this.#progressAt = this.#options.clock.now();
    this.#pending.push({ cycles: frame.cycles, bytes });
    this.#pendingBytes += bytes;
    worker.postMessage(frame, [frame.numbers.buffer, frame.bytes.buffer]);
    this.#watchLater();
  }

  /** Ends the thread. Idempotent. */
  close(): void {
    this.#closed = true;
    this.#watch?.cancel();
    this.#restart?.cancel();
    this.#isReady = false;
    const worker = this.#worker;
    this.#worker = undefined;
    void worker?.terminate();
  }

  #hear(worker: Worker, message: FromShadows): void {
    if (worker !== this.#worker) return;
    this.#progressAt = this.#options.clock.now();
    const { listener } = this.#options;
    if (message.kind === "ready") {
      this.#isReady = true;
      for (const [shadow, reason] of message.failed) this.#rest(shadow, reason);
      return listener.ready(message.readsPrompts);
    }
    const done = this.#pending.shift();
    this.#pendingBytes -= done?.bytes ?? 0;
    listener.tallied(message.tallies, done?.cycles ?? 0);
    this.#wake();
  }

  /** A shadow that has rested enough comes back with the next thread: now, since all of a thread are made together. */
  #wake(): void {
    const asleep = this.#options.shadows.filter(
      ({ name }) => !this.#active.some((each) => each.name === name),
    );
    if (this.#pending.length > 0 || !asleep.some(({ name }) => !this.#isAsleep(name))) return;
    const worker = this.#worker;
    this.#worker = undefined;
    this.#isReady = false;
    void worker?.terminate();
    this.start();
  }

  #watchLater(): void {
    if (this.#watch !== undefined || this.#closed) return;
    const { clock, limits } = this.#options;
    this.#watch = clock.after(Math.max(1, limits.lateMs / 4), () => {
      this.#watch = undefined;
      const worker = this.#worker;
      if (worker === undefined || (this.#isReady && this.#pending.length === 0)) return;
      const allowed = this.#isReady ? limits.lateMs : limits.startMs;
      if (clock.now() - this.#progressAt <= allowed) return this.#watchLater();
      void worker.terminate();
      this.#gone(worker, "late", `it did not answer for ${allowed} ms`);
    });
  }

  #gone(worker: Worker, reason: "late" | "crashed", why: string): void {
    if (worker !== this.#worker) return;
    this.#worker = undefined;
    this.#isReady = false;
    const cycles = this.#pending.reduce((sum, each) => sum + each.cycles, 0);
    this.#pending = [];
    this.#pendingBytes = 0;
    if (this.#closed) return;
    const { listener, logger, pool, clock } = this.#options;
    const culprit = this.#active[Atomics.load(this.#running, 0)]?.name;
    logger.warn("shadow_thread_ended", { pool, reason, why, ...(culprit === undefined ? {} : { culprit }) });
    listener.lost(cycles, reason);
    if (culprit !== undefined) this.#rest(culprit, why);
    const { initial, max } = this.#options.limits.backoffMs;
    if (clock.now() - this.#startedAt > max) this.#backoffMs = initial;
    this.#startLater(this.#backoffMs);
    this.#backoffMs = Math.min(2 * this.#backoffMs, max);
  }

  #startLater(delayMs: number): void {
    if (this.#closed) return;
    this.#restart?.cancel();
    this.#restart = this.#options.clock.after(delayMs, () => {
      this.#restart = undefined;
      this.start();
    });
  }

  #rest(shadow: string, reason: string): void {
    const { restMs } = this.#options.limits;
    const nextMs = this.#resting.get(shadow)?.nextMs ?? restMs.initial;
    this.#resting.set(shadow, {
      until: this.#options.clock.now() + nextMs,
      nextMs: Math.min(4 * nextMs, restMs.max),
    });
    this.#out.add(shadow);
    this.#options.listener.failed(shadow, reason);
  }

  #isAsleep(shadow: string): boolean {
    return (this.#resting.get(shadow)?.until ?? 0) > this.#options.clock.now();
  }

  #soonestWake(): number {
    const now = this.#options.clock.now();
    return Math.max(1, Math.min(...[...this.#resting.values()].map(({ until }) => until - now)));
  }
}
