/** Least outstanding work for the endpoint's measured speed. */
import { z } from "zod";
import type { Candidates, Scorer, ScheduledRequest } from "../../contracts/plugins/scheduling.ts";
import { definePlugin } from "../define-plugin.ts";

/**
 * With this request, `load.requests + 1` are under way; divided by the measured speed that is how long they take. The score
 * is the shortest such time divided by the endpoint's. One without a measured speed counts as the fastest, so that it gets
 * measured.
 */
class OutstandingWorkScorer implements Scorer {
  score({ endpoints, positions, count }: Candidates, _request: ScheduledRequest, scores: Float64Array): void {
    let fastest = 0;
    for (let i = 0; i < count; i++) {
      const speed = endpoints[positions[i] ?? 0]?.speed ?? 0;
      if (speed > fastest) fastest = speed;
    }
    if (fastest === 0) fastest = 1;
    let least = Infinity;
    for (let i = 0; i < count; i++) {
      const endpoint = endpoints[positions[i] ?? 0];
      if (endpoint === undefined) continue;
      const { speed } = endpoint;
      const work = (endpoint.load.requests + 1) / (speed > 0 ? speed : fastest);
      scores[i] = work;
      if (work < least) least = work;
    }
    for (let i = 0; i < count; i++) scores[i] = least / (scores[i] ?? 1);
  }
}

/** `outstanding-work-scorer`. */
export const outstandingWorkScorer = definePlugin({
  type: "outstanding-work-scorer",
  kinds: ["scorer"],
  summary:
    "Prefers endpoints where the requests under way take the shortest time at the speed that was measured; needs no metrics",
  parameters: z.strictObject({}),
  create: (): Scorer => new OutstandingWorkScorer(),
});
