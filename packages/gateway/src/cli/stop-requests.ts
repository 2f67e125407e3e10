/** How a command that runs until it is told to stop learns of it. */
import type { Terminal } from "./terminal.ts";

/** Signals to stop, in the order they come. One that comes while models load counts as well. */
export interface StopRequests {
  readonly first: Promise<void>;
  /** Called at the second. */
  onSecond(listener: () => void): void;
}

/** Listens from now on. */
export function stopRequests(terminal: Terminal): StopRequests {
  const { promise: first, resolve } = Promise.withResolvers<void>();
  let count = 0;
  let second = (): void => {};
  terminal.onStop(() => {
    if (++count === 1) resolve();
    else second();
  });
  return { first, onSecond: (listener) => void (second = listener) };
}
