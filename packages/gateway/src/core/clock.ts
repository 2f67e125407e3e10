/** Time as a parameter: everything that waits or measures gets a `Clock`, so that tests own the time. */

/** A timer that can be stopped. */
export interface Timer {
  /** Stops the timer. Does nothing once it has fired. */
  cancel(): void;
}

/** Monotonic time, wall time and timers. */
export interface Clock {
  /** Milliseconds since an arbitrary start; never goes back. */
  now(): number;
  /** Milliseconds since the Unix epoch, for what people read. */
  wallNow(): number;
  /** Calls `action` once after `delayMs`, at once for what is past already, at the latest after 24 days. Does not keep the process alive. */
  after(delayMs: number, action: () => void): Timer;
}

/** Timers of the system hold 31 bits: one beyond fires at once, and both ends are complained about. */
const longestMs = 2 ** 31 - 1;

/** The machine's clock. */
export const systemClock: Clock = {
  now: () => performance.now(),
  wallNow: () => Date.now(),
  after(delayMs, action) {
    const handle = setTimeout(action, Math.min(Math.max(delayMs, 0), longestMs));
    handle.unref();
    return { cancel: () => clearTimeout(handle) };
  },
};

/** Resolves after `delayMs` on the given clock. */
export function sleep(clock: Clock, delayMs: number): Promise<void> {
  return new Promise((resolve) => clock.after(delayMs, resolve));
}
