/** Free space of the KV cache. */
import { z } from "zod";
import type { Scorer } from "../../contracts/plugins/scheduling.ts";
import { definePlugin } from "../define-plugin.ts";

/** `kv-cache-utilization-scorer`: 1 − usage; 0 where a server does not tell. */
export const kvCacheUtilizationScorer = definePlugin({
  type: "kv-cache-utilization-scorer",
  kinds: ["scorer"],
  summary: "Prefers servers with more free space in their KV cache",
  parameters: z.strictObject({}),
  needs: { signals: ["kvUsage"] },
  create(): Scorer {
    return {
      score({ endpoints, positions, count }, _request, scores) {
        for (let i = 0; i < count; i++) {
          const usage = endpoints[positions[i] ?? 0]?.signals.kvUsage ?? Number.NaN;
          scores[i] = Number.isNaN(usage) ? 0 : 1 - usage;
        }
      },
    };
  },
});
