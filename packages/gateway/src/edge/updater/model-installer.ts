/** Installs packages in a thread that is there only while there is something to install. */
import { Worker } from "node:worker_threads";
import type { Clock, Timer } from "../../core/clock.ts";
import type { Installed, InstallJob, InstallProgress } from "./install-package.ts";
import type { FromInstaller, ToInstaller } from "./install-thread.ts";
import { reasonOf, transferFailure, type TransferFailure } from "./transfer-failure.ts";

/** Who hears of an installation: any number of `progress`, then `done` once. */
export interface InstallListener {
  progress(progress: InstallProgress): void;
  done(answer: Installed | TransferFailure): void;
}

/** A running installation. */
export interface Installation {
  /** Ends it with a failure; what has arrived stays for the next attempt. Idempotent. */
  cancel(): void;
}

const entry = new URL(
  import.meta.url.endsWith(".ts") ? "./install-thread.ts" : "./install-thread.js",
  import.meta.url,
);
const heapMb = 128;
/** A thread without work ends after so long, ms. */
const idleMs = 5_000;

/** The thread and the installations in it. How many there are at once is the caller's to bound. */
export class ModelInstaller {
  readonly #clock: Clock;
  readonly #running = new Map<number, InstallListener>();
  #worker: Worker | undefined;
  #next = 0;
  #idle: Timer | undefined;
  #closed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Starts one. `done` is called exactly once, never before `install` has returned. */
  install(job: InstallJob, listener: InstallListener): Installation {
    const place = this.#next++;
    this.#running.set(place, listener);
    this.#idle?.cancel();
    if (this.#closed) queueMicrotask(() => this.#settle(place, transferFailure("it was called off")));
    else this.#say({ kind: "install", place, job });
    return { cancel: () => this.#worker?.postMessage({ kind: "cancel", place } satisfies ToInstaller) };
  }

  /** Ends the thread; what runs fails, and can be gone on with later. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#idle?.cancel();
    await this.#worker?.terminate();
  }

  #say(message: ToInstaller): void {
    this.#worker ??= this.#spawn();
    this.#worker.ref();
    this.#worker.postMessage(message);
  }

  #spawn(): Worker {
    const worker = new Worker(entry, { resourceLimits: { maxOldGenerationSizeMb: heapMb } });
    let why = "the installing thread ended";
    worker.on("message", (message: FromInstaller) => {
      if (message.kind === "progress") this.#running.get(message.place)?.progress(message.progress);
      else this.#settle(message.place, message.answer);
    });
    worker.on("error", (error) => (why = reasonOf(error)));
    worker.on("exit", () => {
      if (this.#worker !== worker) return;
      this.#worker = undefined;
      for (const place of this.#running.keys()) this.#settle(place, transferFailure(why));
    });
    return worker;
  }

  #settle(place: number, answer: Installed | TransferFailure): void {
    const listener = this.#running.get(place);
    if (!this.#running.delete(place)) return;
    listener?.done(answer);
    if (this.#running.size > 0) return;
    this.#worker?.unref();
    this.#idle = this.#clock.after(idleMs, () => {
      const worker = this.#worker;
      if (this.#running.size > 0 || worker === undefined) return;
      this.#worker = undefined;
      void worker.terminate();
    });
  }
}
