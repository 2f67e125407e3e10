/** The request that has to have its first token first. */
import * as z from "zod";
import type { OrderingPolicy } from "../../contracts/plugins/flow.ts";
import { definePlugin } from "../define-plugin.ts";

/** Requests without a wish go last, first come first served. */
const earliestFirstToken: OrderingPolicy = {
  rank: ({ enqueuedAt, traits }) => enqueuedAt + (traits.ttftSloMs ?? Infinity),
};

/** `slo-deadline-ordering-policy` */
export const sloDeadlineOrderingPolicy = definePlugin({
  type: "slo-deadline-ordering-policy",
  kinds: ["ordering"],
  summary: "Within a flow, the request whose wished time to the first token is over first.",
  parameters: z.strictObject({}),
  create: () => earliestFirstToken,
});
