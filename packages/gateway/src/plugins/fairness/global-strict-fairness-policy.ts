/** Flows are not told apart. */
import * as z from "zod";
import type { FairnessPolicy } from "../../contracts/plugins/flow.ts";
import { definePlugin } from "../define-plugin.ts";

const globalStrict: FairnessPolicy = { ignoresFlows: true, next: () => undefined };

/** `global-strict-fairness-policy` */
export const globalStrictFairnessPolicy = definePlugin({
  type: "global-strict-fairness-policy",
  kinds: ["fairness"],
  summary: "Of all requests of a band the one that its ordering puts first, whosever it is.",
  parameters: z.strictObject({}),
  create: () => globalStrict,
});
