/** Time as a parameter: what measures or waits gets a clock, so that tests own the time. */

/** Monotonic time and waiting. */
export interface WorkerClock {
  /** Milliseconds since an arbitrary start; never goes back. */
  now(): number;
  /** Resolves after the given time. */
  sleep(delayMs: number): Promise<void>;
}

/** The machine's clock. */
export const systemClock: WorkerClock = {
  now: () => performance.now(),
  sleep: (delayMs) => new Promise((resolve) => setTimeout(resolve, delayMs)),
};
