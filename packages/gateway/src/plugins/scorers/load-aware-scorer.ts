/** How long the server's own queue is, by itself and not beside the others'. */
import { z } from "zod";
import type { Scorer } from "../../contracts/plugins/scheduling.ts";
import { definePlugin } from "../define-plugin.ts";

/** `load-aware-scorer`: `0.5 · (1 − min(waiting, threshold) / threshold)`; 0 where a server does not tell. */
export const loadAwareScorer = definePlugin({
  type: "load-aware-scorer",
  kinds: ["scorer"],
  summary: "Scores 0.5 for servers in which nothing waits, less the more waits",
  parameters: z.lazy(() =>
    z.strictObject({
      threshold: z.number().positive().default(128).describe("Waiting requests from which the score is 0"),
    }),
  ),
  needs: { signals: ["waiting"] },
  create({ threshold }): Scorer {
    return {
      score({ endpoints, positions, count }, _request, scores) {
        for (let i = 0; i < count; i++) {
          const waiting = endpoints[positions[i] ?? 0]?.signals.waiting ?? Number.NaN;
          scores[i] = Number.isNaN(waiting) ? 0 : 0.5 * (1 - Math.min(waiting, threshold) / threshold);
        }
      },
    };
  },
});
