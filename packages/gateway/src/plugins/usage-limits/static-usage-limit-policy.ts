/** One ceiling for all. */
import * as z from "zod";
import type { UsageLimitPolicy } from "../../contracts/plugins/flow.ts";
import { definePlugin } from "../define-plugin.ts";

/** `static-usage-limit-policy` */
export const staticUsageLimitPolicy = definePlugin({
  type: "static-usage-limit-policy",
  kinds: ["usage-limit"],
  summary: "Requests of every priority go while the saturation is below one threshold.",
  parameters: z.lazy(() => z.strictObject({ threshold: z.number().positive().max(10).default(1) })),
  create: ({ threshold }): UsageLimitPolicy => ({
    ceilings(_saturation, priorities, ceilings) {
      ceilings.fill(threshold, 0, priorities.length);
    },
  }),
});
