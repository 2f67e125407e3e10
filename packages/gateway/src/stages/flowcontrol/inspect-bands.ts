/** A line as operators see it: a bounded picture of its bands and their flows. */
import type { Snapshot } from "../../contracts/inspect.ts";
import type { LineCost } from "../../contracts/line.ts";
import type { Payload } from "../../core/request.ts";
import type { Band } from "./band.ts";

/** Flows that are listed of a band, the longest first; the count is of all. */
const mostFlows = 100;

/** Bands in which something waits, highest priority first. */
export function inspectBands<P extends Payload, B extends LineCost>(
  bands: readonly Band<P, B>[],
  now: number,
): Snapshot {
  return bands
    .filter(({ length }) => length > 0)
    .map((band) => {
      let oldestAt = now;
      band.each(({ enqueuedAt }) => (oldestAt = Math.min(oldestAt, enqueuedAt)));
      const flows = band.flows.filter(({ length }) => length > 0);
      return {
        priority: band.priority,
        waiting: band.length,
        bytes: band.bytes,
        predicted_tokens: Math.round(band.tokens),
        oldest_ms: Math.round(now - oldestAt),
        flow_count: flows.length,
        flows: flows
          .toSorted((a, b) => b.length - a.length)
          .slice(0, mostFlows)
          .map(({ fairnessId, length }) => ({ fairness_id: fairnessId, waiting: length })),
      };
    });
}
