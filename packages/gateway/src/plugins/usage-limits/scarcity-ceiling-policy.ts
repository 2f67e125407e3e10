/** Ceilings that follow how scarce the servers of a model are. */
import * as z from "zod";
import type { UsageLimitPolicy } from "../../contracts/plugins/flow.ts";
import type { ScarcityRegime } from "../../contracts/scarcity.ts";
import { definePlugin } from "../define-plugin.ts";

const ceiling = z.number().min(0).max(10);
const ceilings = (sheddable: number, normal: number) =>
  z.strictObject({ sheddable: ceiling.default(sheddable), normal: ceiling.default(normal) }).prefault({});

const parameters = z.lazy(() =>
  z.strictObject({
    /** Ceiling of priorities above 0, whatever the regime. */
    urgent: ceiling.default(1),
    plenty: ceilings(1, 1),
    tight: ceilings(0.8, 1),
    scarce: ceilings(0.4, 0.95),
  }),
);

/** What the policy can be told: for each regime the ceilings of priorities below 0 and of 0. */
type ScarcityCeilings = z.output<typeof parameters>;

class ScarcityCeiling implements UsageLimitPolicy {
  readonly #options: ScarcityCeilings;

  constructor(options: ScarcityCeilings) {
    this.#options = options;
  }

  ceilings(
    _saturation: number,
    priorities: readonly number[],
    into: Float64Array,
    regime: ScarcityRegime,
  ): void {
    const { urgent, [regime]: now } = this.#options;
    for (const [index, priority] of priorities.entries()) {
      into[index] = priority > 0 ? urgent : priority < 0 ? now.sheddable : now.normal;
    }
  }
}

/** `scarcity-ceiling-policy` */
export const scarcityCeilingPolicy = definePlugin({
  type: "scarcity-ceiling-policy",
  kinds: ["usage-limit"],
  summary:
    "Ceilings by the model's scarcity: while it is tight or scarce, sheddable requests leave room for others.",
  parameters,
  create: (options) => new ScarcityCeiling(options),
});
