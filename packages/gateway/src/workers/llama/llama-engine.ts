/** Keeps the llama engine's process running: started when there is a GGUF file, restarted when it dies. */
import { rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ServerAccess } from "../../contracts/connection.ts";
import type { WorkerExit } from "../../contracts/launcher.ts";
import type { LlmEngine, LlmEngineState } from "../../contracts/llm-engine.ts";
import type { LlamaOptions } from "../../contracts/options.ts";
import type { Logger } from "../../contracts/telemetry.ts";
import type { Clock, Timer } from "../../core/clock.ts";
import { makeSocketFolder } from "../socket-folder.ts";
import { SupervisedChild } from "../supervised-child.ts";
import { hasGguf, installedVersion } from "./engine-files.ts";

/** What keeping the engine takes. */
export interface LlamaEngineOptions extends LlamaOptions {
  /** Requests that may wait in the engine. */
  readonly maxQueue: number | undefined;
  /** Folder in whose `node_modules` the engine's library is installed. */
  readonly library: string;
  /** How often the folders are looked at, ms; 0 for only at the start. */
  readonly pollMs: number;
  /** The engine's program. */
  readonly program: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** First and longest pause between restarts, ms. */
  readonly backoffMs: { readonly initial: number; readonly max: number };
  /** True while requests run in the engine: it is not ended under them. */
  readonly isBusy: () => boolean;
  /** For how long it has said nothing though it was asked, ms. */
  readonly silentMs: () => number;
}

/** Ends within a minute of their starts, in a row, after which the engine counts as failed. */
const failedAfter = 3;
/** Looks without a GGUF file after which the process ends: a file that is replaced may be gone for a moment. */
const emptyLooks = 2;

/** A process that ran this long was well: the next restart is immediate again, ms. */
const wellAfterMs = 60_000;

/** A process that says nothing for this long, though it was asked, hangs: it is killed and started again, ms. */
const hungAfterMs = 30_000;
/** How often that is looked at, ms. */
const watchMs = 2_000;

/** Longest wait for a process to listen, ms. */
const startTimeoutMs = 60_000;

const connectTimeoutMs = 2_000;
const mebibyte = 2 ** 20;

/** The engine over model folders. */
export class LlamaEngine implements LlmEngine {
  readonly #options: LlamaEngineOptions;
  /** Where the socket lies; made for the first process. */
  #folder: string | undefined;
  readonly #removeFolder = (): void => {
    if (this.#folder !== undefined) rmSync(this.#folder, { recursive: true, force: true });
  };
  #state: LlmEngineState = "idle";
  #reason: string | undefined;
  #child: SupervisedChild | undefined;
  /** Until the next look at the folders. */
  #lookTimer: Timer | undefined;
  #watchTimer: Timer | undefined;
  /** Until the next start. */
  #restartTimer: Timer | undefined;
  #startTimer: Timer | undefined;
  #failures = 0;
  #emptyLooks = 0;
  #startedMs = 0;
  #listener: () => void = () => {};

  constructor(options: LlamaEngineOptions) {
    this.#options = options;
  }

  get access(): ServerAccess {
    return {
      origin: "http://llama",
      basePath: "",
      address: undefined,
      socketPath: this.#socketPath(),
      headers: [],
      ca: undefined,
      serverName: undefined,
      connectTimeoutMs,
    };
  }

  get state(): LlmEngineState {
    return this.#state;
  }

  get reason(): string | undefined {
    return this.#reason;
  }

  /** Process id while there is a process. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  onChange(listener: () => void): void {
    this.#listener = listener;
  }

  async start(): Promise<void> {
    if (this.#isClosed()) return;
    const { folders, pollMs, clock } = this.#options;
    const found = await hasGguf(folders);
    if (this.#isClosed()) return;
    if (this.#child !== undefined) this.#endWithoutFiles(found);
    else if (this.#restartTimer === undefined) this.#startFor(found);
    if (pollMs > 0) this.#lookTimer = clock.after(pollMs, () => void this.start());
  }

  close(): void {
    if (this.#isClosed()) return;
    this.#lookTimer?.cancel();
    this.#restartTimer?.cancel();
    this.#become("closed");
    this.#end();
    process.off("exit", this.#removeFolder);
    this.#removeFolder();
  }

  #isClosed(): boolean {
    return this.#state === "closed";
  }

  #socketPath(): string {
    if (this.#folder === undefined) {
      this.#folder = makeSocketFolder(tmpdir());
      process.on("exit", this.#removeFolder);
    }
    return join(this.#folder, "llama.sock");
  }

  #startFor(found: boolean): void {
    const { library } = this.#options;
    if (!found) this.#become("idle");
    else if (installedVersion(library) === undefined)
      this.#become("missing", "the llama engine is not installed: spillway engines add llama");
    else this.#launch();
  }

  /** Nothing is left to serve, for longer than it takes to replace a file: the process gives its memory back. */
  #endWithoutFiles(found: boolean): void {
    const { isBusy, logger } = this.#options;
    this.#emptyLooks = found || isBusy() ? 0 : this.#emptyLooks + 1;
    if (this.#emptyLooks < emptyLooks) return;
    logger.info("engine_idle", { engine: "llama", reason: "there is no GGUF file any more" });
    this.#end();
    this.#become("idle");
  }

  /** Ends the process, which is no failure. */
  #end(): void {
    const child = this.#child;
    this.#child = undefined;
    this.#startTimer?.cancel();
    this.#watchTimer?.cancel();
    this.#emptyLooks = 0;
    child?.kill();
  }

  #launch(): void {
    const { clock } = this.#options;
    this.#become("starting");
    this.#startedMs = clock.now();
    let child: SupervisedChild;
    try {
      child = this.#spawn();
    } catch (error) {
      return this.#exited({ code: null, signal: null, said: String(error) });
    }
    this.#child = child;
    this.#startTimer = clock.after(startTimeoutMs, () => child.kill());
    child.onExit((exit) => {
      if (this.#child === child) this.#exited(exit);
    });
  }

  #spawn(): SupervisedChild {
    const { logger, program } = this.#options;
    const child = new SupervisedChild({
      id: "llama",
      role: "engine",
      program,
      args: engineArguments(this.#options, this.#socketPath()),
      environment: {},
      logger,
      onEvent: (event) => {
        if (event === "listening" && this.#child === child) this.#listening();
      },
    });
    return child;
  }

  #listening(): void {
    this.#startTimer?.cancel();
    this.#become("ready");
    this.#watch();
  }

  #watch(): void {
    const { clock, silentMs, logger } = this.#options;
    this.#watchTimer?.cancel();
    this.#watchTimer = clock.after(watchMs, () => {
      if (this.#child === undefined) return;
      if (silentMs() < hungAfterMs) return this.#watch();
      logger.warn("engine_hung", { engine: "llama", silentMs: Math.round(silentMs()) });
      this.#child.kill();
    });
  }

  #exited(exit: WorkerExit): void {
    this.#child = undefined;
    this.#startTimer?.cancel();
    this.#watchTimer?.cancel();
    if (this.#isClosed()) return;
    const { clock, logger, backoffMs } = this.#options;
    this.#failures = clock.now() - this.#startedMs > wellAfterMs ? 1 : this.#failures + 1;
    const reason = describeExit(exit);
    const pauseMs =
      this.#failures === 1 ? 0 : Math.min(backoffMs.max, backoffMs.initial * 2 ** (this.#failures - 2));
    logger.warn("engine_ended", { engine: "llama", reason, restartMs: pauseMs });
    this.#become(this.#failures < failedAfter ? "starting" : "failed", reason);
    this.#restartTimer = clock.after(pauseMs, () => {
      this.#restartTimer = undefined;
      this.#launch();
    });
  }

  #become(state: LlmEngineState, reason?: string): void {
    if (state === this.#state && reason === this.#reason) return;
    this.#state = state;
    this.#reason = reason;
    this.#listener();
  }
}

/** The engine's command line; what is not said is the engine's own choice. */
function engineArguments(options: LlamaEngineOptions, socket: string): string[] {
  const { folders, library, threads, sequences, contextSize, memoryBytes, keepAliveMs, maxQueue } = options;
  const models = folders.flatMap((folder) => ["--models", folder]);
  const args = ["--supervised", ...models, "--library", library, "--socket", socket];
  const add = (name: string, value: number | undefined): void => {
    if (value !== undefined) args.push(`--${name}=${value}`);
  };
  add("threads", threads);
  add("sequences", sequences);
  add("context", contextSize);
  add("memory", memoryBytes === undefined ? undefined : Math.ceil(memoryBytes / mebibyte));
  if (keepAliveMs !== undefined)
    add("keep-alive", keepAliveMs === Infinity ? -1 : Math.ceil(keepAliveMs / 1_000));
  add("max-queue", maxQueue);
  return args;
}

function describeExit({ code, signal, said }: WorkerExit): string {
  const why = said === undefined ? "" : `: ${said}`;
  if (signal !== null) return `it was ended by ${signal}${why}`;
  return code === null ? `it could not be started${why}` : `it exited with code ${code}${why}`;
}
