/** How much of the prompt each server has in its cache. */
import { z } from "zod";
import { prefixMatchKey } from "../../contracts/plugins/data-keys.ts";
import type { PrefixMatch, Scorer } from "../../contracts/plugins/scheduling.ts";
import { definePlugin } from "../define-plugin.ts";
import { dataAt } from "../request-data.ts";

const parameters = z.lazy(() =>
  z.strictObject({
    prefixMatchInfoProducerName: z
      .string()
      .optional()
      .describe("Name of the producer, where there are several"),
    matchLengthWeight: z
      .number()
      .min(0)
      .max(1)
      .default(0)
      .describe("Part of the score that comes of the match's length rather than of its share of the prompt"),
    matchLengthScaleTokens: z
      .number()
      .positive()
      .default(8_192)
      .describe("Length of a match for which that part is whole, tokens"),
  }),
);

/** `prefix-cache-scorer`: `w · min(1, matched tokens / scale)² + (1 − w) · matched / total`. */
export const prefixCacheScorer = definePlugin({
  type: "prefix-cache-scorer",
  kinds: ["scorer"],
  summary: "Prefers servers that have more of the prompt in their cache",
  parameters,
  needs: { reads: [prefixMatchKey] },
  create(
    { prefixMatchInfoProducerName, matchLengthWeight: weight, matchLengthScaleTokens: scale },
    host,
  ): Scorer {
    const index = host.dataIndex(prefixMatchKey, prefixMatchInfoProducerName);
    return {
      score({ positions, count }, request, scores) {
        const match = dataAt<PrefixMatch>(request, index);
        if (match === undefined || match.longest === 0) return void scores.fill(0, 0, count);
        const { matched, total, blockTokens } = match;
        for (let i = 0; i < count; i++) {
          const blocks = matched[positions[i] ?? 0] ?? 0;
          const length = Math.min(1, (blocks * blockTokens) / scale);
          scores[i] = weight * length * length + (1 - weight) * (blocks / total);
        }
      },
    };
  },
});
