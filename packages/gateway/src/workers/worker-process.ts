/** One worker process from its launch to its end: waits until it serves, learns its models, watches its memory. */
import { createChannel, type GrpcChannel } from "@spillway/grpc";
import type { LaunchedWorker, Launcher, WorkerExit, WorkerSpec } from "../contracts/launcher.ts";
import type { WorkerOptions } from "../contracts/options.ts";
import type { Logger } from "../contracts/telemetry.ts";
import type { Clock, Timer } from "../core/clock.ts";
import { discoverModels, type DiscoveredModel } from "./discovery.ts";
import { Host } from "./host.ts";

/** How often a starting worker is tried, and how often a running one's memory is read. */
const connectRetryMs = 10;
const memoryCheckMs = 250;

/** A worker this far over its limit is killed at once; below, it may finish its calls first. */
const hardLimitFactor = 1.5;

/** The end of a process is reported shortly after that of its connection; one that stays on without it is killed. */
const lostGraceMs = 1_000;

/** What a process is made of. */
export interface WorkerProcessOptions {
  readonly spec: WorkerSpec;
  readonly launcher: Launcher;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly worker: WorkerOptions;
  /** The process serves: its models, and the channel to call them. */
  readonly onReady: (models: readonly DiscoveredModel[], process: WorkerProcess) => void;
  /** It will take no more work: it was told to finish, or outgrew its memory. Called at most once, before `onExit`. */
  readonly onRetire: (process: WorkerProcess) => void;
  /** It has ended, or never came up. Called once. */
  readonly onExit: (reason: string, process: WorkerProcess) => void;
}

/** A supervised process. */
export class WorkerProcess {
  readonly host: Host;
  readonly channel: GrpcChannel;
  readonly startedAt: number;
  readonly #options: WorkerProcessOptions;
  readonly #child: LaunchedWorker;
  readonly #startTimer: Timer;
  #memoryTimer: Timer | undefined;
  #killReason: string | undefined;
  #ready = false;
  #ended = false;

  constructor(options: WorkerProcessOptions) {
    this.#options = options;
    const { spec, launcher, clock, worker } = options;
    this.startedAt = clock.now();
    this.#child = launcher.launch(spec);
    this.channel = createChannel({ address: this.#child.address });
    this.host = new Host(spec.id, () => this.kill("it did not answer in time"));
    this.#child.onExit((exit) => this.#exited(exit));
    this.channel.onState((state) => {
      if (this.#ready && state !== "ready") this.#disconnected();
    });
    this.#startTimer = clock.after(worker.startTimeoutMs, () =>
      this.kill(`it was not ready within ${worker.startTimeoutMs} ms`),
    );
    this.#connect();
  }

  get pid(): number {
    return this.#child.pid;
  }

  get ready(): boolean {
    return this.#ready && !this.#ended;
  }

  memoryBytes(): number | undefined {
    return this.#child.memoryBytes();
  }

  /** Ends the process at once. Its calls fail as those of a dead host. */
  kill(reason: string): void {
    this.#killReason ??= reason;
    this.#child.kill();
  }

  /** Takes nothing new, ends when its calls have, or after the drain timeout. */
  retire(reason: string): void {
    if (this.#ended || this.host.state !== "ready") return;
    this.#killReason ??= reason;
    this.host.retire();
    this.#options.onRetire(this);
    const end = (): void => {
      if (this.host.running === 0) this.kill(reason);
    };
    this.host.onChange(end);
    end();
    this.#options.clock.after(this.#options.worker.drainTimeoutMs, () => this.kill(reason));
  }

  #connect(): void {
    if (this.#ended) return;
    this.channel.connect((failure) => {
      if (this.#ended) return;
      if (failure === undefined) this.#discover();
      else this.#options.clock.after(connectRetryMs, () => this.#connect());
    });
  }

  #discover(): void {
    discoverModels(this.channel, { maxBatch: 1, models: [] }).then(
      (models) => this.#discovered(models),
      (error: unknown) => this.kill(`its models could not be listed: ${String(error)}`),
    );
  }

  #discovered(models: readonly DiscoveredModel[]): void {
    if (this.#ended) return;
    this.#ready = true;
    this.#startTimer.cancel();
    this.#watchMemory();
    this.#options.onReady(models, this);
  }

  /** No call may start any more, though the process is not known to have ended: each would fail at once. */
  #disconnected(): void {
    if (this.#ended || this.host.state === "gone") return;
    this.host.markGone();
    this.#options.clock.after(lostGraceMs, () => this.kill("its connection was lost"));
  }

  #watchMemory(): void {
    this.#memoryTimer = this.#options.clock.after(memoryCheckMs, () => {
      const bytes = this.memoryBytes();
      const limit = this.#options.worker.memoryLimitBytes;
      if (bytes !== undefined && bytes > limit) this.#outgrown(bytes, limit);
      if (!this.#ended) this.#watchMemory();
    });
  }

  #outgrown(bytes: number, limit: number): void {
    const reason = `it holds ${Math.round(bytes / 2 ** 20)} MiB of memory, over its limit of ${Math.round(limit / 2 ** 20)} MiB`;
    if (bytes > limit * hardLimitFactor) this.kill(reason);
    else this.retire(reason);
  }

  #exited(exit: WorkerExit): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#startTimer.cancel();
    this.#memoryTimer?.cancel();
    const reason = this.#killReason ?? describeExit(exit);
    this.channel.close();
    this.host.markGone();
    this.#options.onExit(reason, this);
  }
}

function describeExit({ code, signal, said }: WorkerExit): string {
  const why = said === undefined ? "" : `: ${said}`;
  if (signal !== null) return `it was ended by ${signal}${why}`;
  return code === null ? `it could not be started${why}` : `it exited with code ${code}${why}`;
}
