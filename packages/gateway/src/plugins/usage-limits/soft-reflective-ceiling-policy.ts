/** Lower priorities are slowed down as the servers fill, rather than stopped. */
import * as z from "zod";
import type { UsageLimitPolicy } from "../../contracts/plugins/flow.ts";
import { definePlugin } from "../define-plugin.ts";

/**
 * The i-th of N priorities is free below a saturation s of 1 − i·s/(N−1). Above it, it may go in one of
 * round(s/(1−s)) decisions, all such priorities in the same, so that none keeps another out; from 1 on never. The
 * highest always may, up to 1.
 */
class SoftReflectiveCeiling implements UsageLimitPolicy {
  #turn = 0;

  ceilings(saturation: number, priorities: readonly number[], ceilings: Float64Array): void {
    const lower = priorities.length - 1;
    const isOpen = lower > 0 && saturation < 1 && saturation >= 1 - saturation && this.#takeTurn(saturation);
    for (let index = 0; index <= lower; index++) {
      const isFree = index === 0 || saturation < 1 - (index * saturation) / lower;
      ceilings[index] = isFree || isOpen ? 1 : 0;
    }
  }

  #takeTurn(saturation: number): boolean {
    const period = Math.max(1, Math.round(saturation / (1 - saturation)));
    this.#turn = (this.#turn + 1) % Number.MAX_SAFE_INTEGER;
    return this.#turn % period === 0;
  }
}

/** `soft-reflective-ceiling-policy` */
export const softReflectiveCeilingPolicy = definePlugin({
  type: "soft-reflective-ceiling-policy",
  kinds: ["usage-limit"],
  summary: "Lower priorities get places ever more seldom as the servers fill.",
  parameters: z.strictObject({}),
  create: () => new SoftReflectiveCeiling(),
});
