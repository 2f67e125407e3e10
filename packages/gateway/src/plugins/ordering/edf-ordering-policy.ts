/** Earliest deadline first. */
import * as z from "zod";
import type { OrderingPolicy } from "../../contracts/plugins/flow.ts";
import { definePlugin } from "../define-plugin.ts";

/** Requests that wait without end go last. */
const earliestDeadline: OrderingPolicy = { rank: ({ deadline }) => deadline };

/** `edf-ordering-policy` */
export const edfOrderingPolicy = definePlugin({
  type: "edf-ordering-policy",
  kinds: ["ordering"],
  summary: "Within a flow, the request whose time in line is over first.",
  parameters: z.strictObject({}),
  create: () => earliestDeadline,
});
