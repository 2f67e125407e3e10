/** Servers whose label says what a header asks for. */
import { z } from "zod";
import type { Scorer } from "../../contracts/plugins/scheduling.ts";
import { headerValue } from "../../core/headers.ts";
import { definePlugin } from "../define-plugin.ts";
import { valueOf } from "../label-selector.ts";

/** `header-label-affinity-scorer`. */
export const headerLabelAffinityScorer = definePlugin({
  type: "header-label-affinity-scorer",
  kinds: ["scorer"],
  summary: "Scores 1 for endpoints whose label has the value of a request's header, else 0",
  parameters: z.lazy(() =>
    z.strictObject({
      headerName: z.string().min(1).describe("Name of the header"),
      labelKey: z.string().min(1).describe("Name of the label"),
    }),
  ),
  create({ headerName, labelKey }): Scorer {
    const name = headerName.toLowerCase();
    return {
      score({ endpoints, positions, count }, { headers }, scores) {
        const wanted = headerValue(headers, name);
        if (wanted === undefined) return void scores.fill(0, 0, count);
        for (let i = 0; i < count; i++) {
          const labels = endpoints[positions[i] ?? 0]?.labels ?? {};
          scores[i] = valueOf(labels, labelKey) === wanted ? 1 : 0;
        }
      },
    };
  },
});
