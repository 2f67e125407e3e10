/** Gives back what starting has left behind. */
import type { Clock, Timer } from "../core/clock.ts";

/** When to look, and what is looked at. */
export interface TrimOptions {
  readonly clock: Clock;
  /** Everything has started. */
  readonly started: () => boolean;
  /** Share of the time since the last call in which the process was busy, 0 to 1. */
  readonly busyShare: () => number;
  /** Collects all garbage and gives free memory back to the system. Default: V8's own last resort. */
  readonly collect?: () => void;
}

const lookMs = 1_000;

/** A process that has work from the start on keeps its memory: it would need it again at once. */
const maxLooks = 30;

/** What one core may have done in a second that counts as quiet. */
const quietShare = 0.05;

/**
 * Collects all garbage once, in the first quiet second after the start. Loading hundreds of modules makes V8's young
 * generation grow to 32 MB, of which half is resident, and V8 does not give it back by itself while nothing is
 * allocated. The process stands still for it: some 50 ms, which is why it waits for a quiet second.
 */
export function trimWhenQuiet({ clock, started, busyShare, collect = collectAll }: TrimOptions): Timer {
  let looks = 0;
  const look = (): void => {
    const isQuiet = busyShare() < quietShare;
    if (isQuiet && started()) collect();
    else if (++looks < maxLooks) timer = clock.after(lookMs, look);
  };
  let timer = clock.after(lookMs, look);
  return { cancel: () => timer.cancel() };
}

/** Share of the time since the last call in which the event loop was busy. */
export function createBusyShare(): () => number {
  let last = performance.eventLoopUtilization();
  return () => {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, last);
    last = now;
    return utilization;
  };
}

/** V8 shows its collector to contexts that are made while the flag is set. */
function collectAll(): void {
  const v8 = process.getBuiltinModule("node:v8");
  v8.setFlagsFromString("--expose-gc");
  const collect = process.getBuiltinModule("node:vm").runInNewContext("gc") as NodeJS.GCFunction;
  v8.setFlagsFromString("--no-expose-gc");
  collect({ type: "major", execution: "sync", flavor: "last-resort" });
}
