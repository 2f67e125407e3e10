/** For tests of Spillway and of what is built on it: time that stands still until it is moved. */
import type { Clock, Timer } from "./core/clock.ts";

/** A clock that a test moves by hand. */
export interface ManualClock extends Clock {
  /** Moves time forward and fires what falls due, in order. */
  advance(ms: number): void;
  /** Until the next timer falls due, ms; undefined where none waits. */
  dueInMs(): number | undefined;
}

interface Pending {
  readonly at: number;
  readonly action: () => void;
}

/** Starts at 0 ms; wall time at 2026-01-01T00:00:00Z. */
export function createManualClock(): ManualClock {
  let now = 0;
  let pending: Pending[] = [];
  const next = (limit: number): Pending | undefined =>
    pending.filter((entry) => entry.at <= limit).sort((a, b) => a.at - b.at)[0];
  return {
    now: () => now,
    wallNow: () => Date.UTC(2026, 0, 1) + now,
    after(delayMs, action): Timer {
      const entry = { at: now + delayMs, action };
      pending.push(entry);
      return { cancel: () => void (pending = pending.filter((other) => other !== entry)) };
    },
    dueInMs() {
      const entry = next(Infinity);
      return entry === undefined ? undefined : entry.at - now;
    },
    advance(ms) {
      const end = now + ms;
      for (let entry = next(end); entry !== undefined; entry = next(end)) {
        const due = entry;
        pending = pending.filter((other) => other !== due);
        now = due.at;
        due.action();
      }
      now = end;
    },
  };
}

// Contracts of plugins: docs/guides/custom-scorer.md shows how they are run.
export { pluginContract } from "./plugins/contract-suites/plugin-contract.ts";
export { ContractViolation } from "./plugins/contract-suites/contract-check.ts";
export type { ContractCheck, ContractOptions } from "./plugins/contract-suites/contract-check.ts";
