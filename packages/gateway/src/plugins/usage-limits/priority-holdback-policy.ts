/** The lower the priority, the earlier its requests wait, so that those above always find room. */
import * as z from "zod";
import type { UsageLimitPolicy } from "../../contracts/plugins/flow.ts";
import { definePlugin } from "../define-plugin.ts";

const parameters = z.lazy(() =>
  z
    .strictObject({
      shape: z.literal("linear").default("linear"),
      domain: z.enum(["rank", "value"]).default("rank"),
      minCeiling: z.number().min(0).max(10),
      maxCeiling: z.number().positive().max(10).default(1),
    })
    .refine(({ minCeiling, maxCeiling }) => minCeiling <= maxCeiling, {
      message: "must not be above maxCeiling",
      path: ["minCeiling"],
    }),
);

/** What the policy can be told. */
type Holdback = z.output<typeof parameters>;

/**
 * From `maxCeiling` for the highest priority down to `minCeiling` for the lowest, in equal steps (`rank`) or by how far
 * the priorities are apart (`value`).
 */
class PriorityHoldback implements UsageLimitPolicy {
  readonly #options: Holdback;

  constructor(options: Holdback) {
    this.#options = options;
  }

  ceilings(_saturation: number, priorities: readonly number[], ceilings: Float64Array): void {
    const { minCeiling, maxCeiling, domain } = this.#options;
    const highest = priorities[0] ?? 0;
    const lowest = priorities.at(-1) ?? 0;
    for (const [index, priority] of priorities.entries()) {
      const range = domain === "rank" ? priorities.length - 1 : highest - lowest;
      const below = domain === "rank" ? index : highest - priority;
      ceilings[index] = range === 0 ? maxCeiling : maxCeiling - ((maxCeiling - minCeiling) * below) / range;
    }
  }
}

/** `priority-holdback-policy` */
export const priorityHoldbackPolicy = definePlugin({
  type: "priority-holdback-policy",
  kinds: ["usage-limit"],
  summary:
    "A ceiling that falls from the highest priority to the lowest: what is left is held back for those above.",
  parameters,
  create: (options) => new PriorityHoldback(options),
});
