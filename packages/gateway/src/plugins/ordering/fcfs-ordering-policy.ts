/** First come first served. */
import * as z from "zod";
import type { OrderingPolicy } from "../../contracts/plugins/flow.ts";
import { definePlugin } from "../define-plugin.ts";

/** All ranks are equal, so that the order of arrival counts. */
const firstCome: OrderingPolicy = { keepsArrivalOrder: true, rank: () => 0 };

/** `fcfs-ordering-policy` */
export const fcfsOrderingPolicy = definePlugin({
  type: "fcfs-ordering-policy",
  kinds: ["ordering"],
  summary:
    "Within a flow, first come first served; one whose best server has room may go before some whose best server is full.",
  parameters: z.strictObject({}),
  create: () => firstCome,
});
