/** Tokens that each server would have to compute with this request. */
import { z } from "zod";
import { inflightTokensKey, type InflightTokens } from "../../contracts/plugins/data-keys.ts";
import type { Scorer } from "../../contracts/plugins/scheduling.ts";
import { definePlugin } from "../define-plugin.ts";
import { dataAt } from "../request-data.ts";

/** `token-load-scorer`: `1 − min(t, T) / T`, t: tokens under way and this request's own that are not cached there. */
export const tokenLoadScorer = definePlugin({
  type: "token-load-scorer",
  kinds: ["scorer"],
  summary: "Prefers servers with fewer tokens to compute, this request's among them",
  parameters: z.lazy(() =>
    z.strictObject({
      queueThresholdTokens: z
        .number()
        .positive()
        .default(4_194_304)
        .describe("Tokens from which the score is 0"),
      inFlightLoadProducerName: z
        .string()
        .optional()
        .describe("Name of the producer, where there are several"),
    }),
  ),
  needs: { reads: [inflightTokensKey] },
  create({ queueThresholdTokens: threshold, inFlightLoadProducerName }, host): Scorer {
    const index = host.dataIndex(inflightTokensKey, inFlightLoadProducerName);
    return {
      score({ positions, count }, request, scores) {
        const inflight = dataAt<InflightTokens>(request, index);
        if (inflight === undefined) return void scores.fill(1, 0, count);
        const { underWay, own } = inflight;
        for (let i = 0; i < count; i++) {
          const position = positions[i] ?? 0;
          const tokens = (underWay[position] ?? 0) + (own[position] ?? 0);
          scores[i] = 1 - Math.min(tokens, threshold) / threshold;
        }
      },
    };
  },
});
