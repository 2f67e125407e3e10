/** The rate that "near saturation", "unloaded" and "overload" are shares of. */
import { parameterOf } from "../harness/workload.ts";
import type { LoadCase, LoadsWorkload } from "./load-case.ts";
import { roundRobin } from "./reference-routers.ts";
import { runCase } from "./run-case.ts";
import type { ServerSettings } from "./settings.ts";
import { mean } from "./statistics.ts";

/** Highest rate, within 2 %, at which the wait stays under the bound; `waitAt` grows with the rate. */
export function highestRate(waitAt: (ratePerSecond: number) => number, bound: number): number {
  let low = 1;
  while (waitAt(low * 2) < bound) low *= 2;
  let high = low * 2;
  while (high / low > 1.02) {
    const middle = Math.sqrt(low * high);
    if (waitAt(middle) < bound) low = middle;
    else high = middle;
  }
  return low;
}

/** Highest rate at which round robin's queue wait p99 stays under the bound, as the mean over the seeds. */
export function findCapacity(load: LoadCase, workload: LoadsWorkload, settings: ServerSettings): number {
  const waitAt = (ratePerSecond: number): number =>
    mean(
      workload.seeds.map(
        (seed) => runCase({ workload, settings, load, router: roundRobin, ratePerSecond, seed }).waitP99,
      ),
    );
  return highestRate(waitAt, parameterOf(workload, "queueWaitP99Ms"));
}
