/** The machine's clock, except that the looks at the model folder come when a test says so. */
import assert from "node:assert/strict";
import { systemClock, type Clock } from "../../packages/gateway/src/core/clock.ts";

/** A clock for a gateway whose `repository.pollMs` is `pollMs` of this clock. */
export interface PollClock extends Clock {
  /** An interval that nothing else uses. */
  readonly pollMs: number;
  /** Lets the gateway look at its folder once; resolves when it has looked. */
  look(): Promise<void>;
  /** Looks twice: what has come to rest is taken from the second look on. */
  lookTwice(): Promise<void>;
}

/** Makes a clock for one gateway. */
export function createPollClock(): PollClock {
  const pollMs = 3_456_789;
  let pending: (() => void) | undefined;
  let scheduled: (() => void) | undefined;
  const look = (): Promise<void> => {
    const action = pending;
    assert.ok(action, "the gateway is not waiting for its next look");
    pending = undefined;
    return new Promise((resolve) => {
      scheduled = resolve;
      action();
    });
  };
  return {
    ...systemClock,
    after(delayMs, action) {
      if (delayMs !== pollMs) return systemClock.after(delayMs, action);
      pending = action;
      scheduled?.();
      return { cancel: () => void (pending = undefined) };
    },
    pollMs,
    look,
    async lookTwice() {
      await look();
      await look();
    },
  };
}
