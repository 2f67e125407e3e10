/** Which requests under way may be called off, and in which order: both halves of upstream's pair of plugins. */
import * as z from "zod";
import type { EvictionPolicy, WaitingItem } from "../../contracts/plugins/flow.ts";
import { definePlugin } from "../define-plugin.ts";

/** Below priority 0; the lowest first, of one priority the one that has run for the shortest time. */
const sheddableFirst: EvictionPolicy = {
  mayEvict: ({ priority }: WaitingItem) => priority < 0,
  compare: (a, b) => a.priority - b.priority || b.enqueuedAt - a.enqueuedAt,
};

/** `sheddable-eviction-filter` */
export const sheddableEvictionFilter = definePlugin({
  type: "sheddable-eviction-filter",
  kinds: ["eviction"],
  summary:
    "Requests under way below priority 0 may be called off for those above, the lowest and newest first.",
  parameters: z.strictObject({}),
  create: () => sheddableFirst,
});

/** `priority-then-time-eviction-order-policy` */
export const priorityThenTimeEvictionOrderPolicy = definePlugin({
  type: "priority-then-time-eviction-order-policy",
  kinds: ["eviction"],
  summary: "The lowest priority is called off first, of one priority the newest; none from 0 up.",
  parameters: z.strictObject({}),
  create: () => sheddableFirst,
});
