/** One observer of the edge endpoint for several. */
import type { EdgeObserver } from "../contracts/edge-observer.ts";

/** Tells each what it listens to, in order. */
export function tellAll(...observers: readonly Partial<EdgeObserver>[]): EdgeObserver {
  return {
    answered(observation) {
      for (const observer of observers) observer.answered?.(observation);
    },
    compared(observation) {
      for (const observer of observers) observer.compared?.(observation);
    },
    delivered(observation) {
      for (const observer of observers) observer.delivered?.(observation);
    },
  };
}
