/** Event-loop delay of this process, read alike in the generator and in the reference servers. */
import { monitorEventLoopDelay } from "node:perf_hooks";

/** A running watch of the event loop. */
export type LoopWatch = ReturnType<typeof monitorEventLoopDelay>;

/** How late a look at the event loop came, in milliseconds. */
export interface LoopDelay {
  readonly meanMs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

/** The loop is looked at every so many milliseconds. */
const RESOLUTION_MS = 10;

/** Starts watching. The caller disables the watch. */
export function watchLoop(): LoopWatch {
  const watch = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  watch.enable();
  return watch;
}

/** Delay since the start of the watch or its last reset, the distance of the looks taken off. */
export function loopDelayOf(watch: LoopWatch): LoopDelay {
  const above = (nanoseconds: number): number =>
    Number.isFinite(nanoseconds) ? Math.max(0, nanoseconds / 1e6 - RESOLUTION_MS) : 0;
  return {
    meanMs: above(watch.mean),
    p50Ms: above(watch.percentile(50)),
    p99Ms: above(watch.percentile(99)),
    maxMs: above(watch.max),
  };
}
