/** Wakes a generator at the intended send times of an open-loop run, far finer than Node's timers can. */
import { Worker } from "node:worker_threads";
import type { ArrivalOptions } from "./arrivals.ts";

/** Positions and values in the shared control words. */
export const RUN_STATE = 0;
export const PENDING = 1;
export const RUNNING = 1;
export const STOPPED = 2;

/** What the pacing thread is given. */
export interface PacerData {
  readonly arrivals: ArrivalOptions;
  readonly control: SharedArrayBuffer;
  readonly startNs: SharedArrayBuffer;
}

/** Owns the pacing thread. One wake covers all times that have passed since the one before. */
export class Pacer {
  readonly #thread: Worker;
  readonly #control: Int32Array<SharedArrayBuffer>;
  readonly #startNs: BigInt64Array<SharedArrayBuffer>;
  #onWake: () => void = () => undefined;

  private constructor(thread: Worker, data: PacerData) {
    this.#thread = thread;
    this.#control = new Int32Array(data.control);
    this.#startNs = new BigInt64Array(data.startNs);
  }

  /** Starts the thread and resolves when it waits for `start`. */
  static create(arrivals: ArrivalOptions): Promise<Pacer> {
    const data = { arrivals, control: new SharedArrayBuffer(8), startNs: new SharedArrayBuffer(8) };
    const thread = new Worker(new URL("./pacer-thread.ts", import.meta.url), { workerData: data });
    return new Promise((resolve, reject) => {
      const pacer = new Pacer(thread, data);
      thread.once("error", reject);
      thread.once("message", () => {
        thread.on("message", () => pacer.#woken());
        resolve(pacer);
      });
    });
  }

  /** The times of the sequence count from now. `onWake` is called after each of them. */
  start(onWake: () => void): void {
    this.#onWake = onWake;
    Atomics.store(this.#startNs, 0, process.hrtime.bigint());
    Atomics.store(this.#control, RUN_STATE, RUNNING);
    Atomics.notify(this.#control, RUN_STATE);
  }

  /** Ends the thread. Idempotent. */
  async close(): Promise<void> {
    this.#onWake = () => undefined;
    Atomics.store(this.#control, RUN_STATE, STOPPED);
    Atomics.notify(this.#control, RUN_STATE);
    await this.#thread.terminate();
  }

  /** The mark is cleared first: a time that passes during `onWake` wakes again. */
  #woken(): void {
    Atomics.store(this.#control, PENDING, 0);
    this.#onWake();
  }
}
