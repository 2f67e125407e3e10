/** Where the adapter is, or may be loaded. */
import { z } from "zod";
import type { Scorer } from "../../contracts/plugins/scheduling.ts";
import type { ServerSignals } from "../../core/server-signals.ts";
import { definePlugin } from "../define-plugin.ts";

function affinity(
  { runningAdapters, waitingAdapters, maxAdapters }: Readonly<ServerSignals>,
  adapter: string,
): number {
  if (runningAdapters.includes(adapter)) return 1;
  if (runningAdapters.length + waitingAdapters.length < maxAdapters) return 0.8;
  return waitingAdapters.includes(adapter) ? 0.6 : 0;
}

/** `lora-affinity-scorer`. */
export const loraAffinityScorer = definePlugin({
  type: "lora-affinity-scorer",
  kinds: ["scorer"],
  summary:
    "Prefers servers that run the adapter, then those with room for another, then those that wait to load it",
  parameters: z.strictObject({}),
  needs: { signals: ["adapters"] },
  create(): Scorer {
    return {
      score({ endpoints, positions, count }, { model }, scores) {
        for (let i = 0; i < count; i++) {
          const endpoint = endpoints[positions[i] ?? 0];
          scores[i] = endpoint === undefined ? 0 : affinity(endpoint.signals, model);
        }
      },
    };
  },
});
