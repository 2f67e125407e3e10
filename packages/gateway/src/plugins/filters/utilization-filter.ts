/** Takes servers that are too busy out of the running. */
import { z } from "zod";
import type { Filter, SchedulableEndpoint } from "../../contracts/plugins/scheduling.ts";
import type { SignalName } from "../../contracts/plugins/plugin.ts";
import { definePlugin } from "../define-plugin.ts";
import { keepWhere } from "../keep-where.ts";

type Reader = (endpoint: SchedulableEndpoint) => number;

const readers: Readonly<Record<string, Reader>> = {
  "active-requests": ({ load }) => load.requests,
  "running-requests": ({ signals }) => signals.running,
  "waiting-queue": ({ signals }) => signals.waiting,
  "kv-cache-utilization": ({ signals }) => signals.kvUsage,
};

const signalOf: Readonly<Record<string, SignalName>> = {
  "running-requests": "running",
  "waiting-queue": "waiting",
  "kv-cache-utilization": "kvUsage",
};

const metrics = ["active-requests", "running-requests", "waiting-queue", "kv-cache-utilization"] as const;

const parameters = z.lazy(() =>
  z.strictObject({
    conditions: z
      .array(
        z.strictObject({
          metric: z.enum(metrics).describe("What is looked at"),
          maxValue: z.number().min(0).describe("The most that passes"),
        }),
      )
      .min(1)
      .describe("All of them have to hold. What a server does not tell holds"),
    fallbackOnEmpty: z.boolean().default(false).describe("Whether all pass where none would"),
  }),
);

/** `utilization-filter`. */
export const utilizationFilter = definePlugin({
  type: "utilization-filter",
  kinds: ["filter"],
  summary: "Leaves the endpoints whose load is within bounds",
  parameters,
  needsOf({ conditions }) {
    return { signals: conditions.flatMap(({ metric }) => signalOf[metric] ?? []) };
  },
  create({ conditions, fallbackOnEmpty }): Filter {
    const bounds = conditions.map(({ metric, maxValue }) => ({ read: readers[metric], maxValue }));
    const passes = (endpoint: SchedulableEndpoint): boolean => {
      for (const { read, maxValue } of bounds) {
        if (read !== undefined && read(endpoint) > maxValue) return false;
      }
      return true;
    };
    return { filter: (candidates) => keepWhere(candidates, passes, fallbackOnEmpty) };
  },
});
