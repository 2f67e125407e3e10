/** Plugins in `spillway.yaml`: how a pool's servers are chosen, who waits for them, and what is read of their metrics. */
import * as z from "zod";
import {
  choice,
  duration,
  expectations,
  falseOr,
  filePath,
  name,
  number,
  pluginType,
  port,
  size,
  whole,
  yesNo,
} from "./values.ts";

const pluginName = name.optional().describe("Name of its own, where there are several of its type");

const parameters = z
  .record(z.string(), z.unknown())
  .register(expectations, { expected: "a mapping of the plugin's parameters" })
  .optional()
  .describe("What the plugin is told");

const type = pluginType.describe(
  "Type of the plugin; the slot's ending may be left out: `queue` for `queue-scorer`",
);

const pluginShape = { type, name: pluginName, parameters };

/** A plugin by its type alone, or with what it is told. */
function plugin<Extra extends z.ZodRawShape>(extra: Extra) {
  const union = z.union([pluginType, z.strictObject({ ...pluginShape, ...extra })]);
  return union.register(expectations, {
    expected: "the type of a plugin, or a mapping with its type and parameters",
  });
}

const plain = plugin({});

const weight = number(-1e6, 1e6).default(1).describe("How much the score counts beside the others'");

const profileSchema = z.strictObject({
  filters: z.array(plain).max(32).default([]).describe("Take endpoints out of the running, in this order"),
  scorers: z
    .array(plugin({ weight }))
    .max(32)
    .default([])
    .describe("Say how good each endpoint is, 0 to 1; the sums of the scores times their `weight` decide"),
  picker: plain.default("max-score-picker").describe("Chooses by the sums"),
});

/** Where a pool's endpoints come from beside its own list. */
export const discoverySchema = plain;

/** Which server of a pool takes a request. */
export const schedulingSchema = z.strictObject({
  profiles: z
    .record(name, profileSchema)
    .refine((profiles) => Object.keys(profiles).length > 0)
    .register(expectations, { expected: "a mapping with at least one profile" })
    .describe("Ways to choose, by names of your choice"),
  handler: plain
    .optional()
    .describe("Says which profiles run for a request. Default: the only profile; several need one"),
  producers: z
    .array(plain)
    .max(32)
    .default([])
    .describe("Producers of what filters and scorers read, where they are not to be as by default"),
  shadows: z
    .record(name, profileSchema)
    .default({})
    .describe(
      "Profiles that are run on the same requests and change nothing: what they would choose is counted",
    ),
});

const bandShape = {
  maxRequests: whole(1, 1_000_000).optional().describe("Requests of the priority that wait. Default: 5000"),
  maxBytes: size("1KiB", "1024GiB").optional().describe("Bytes of their bodies. Default: 1GB"),
  maxTokens: whole(1, 1e12).optional().describe("Tokens that they are predicted to need. Default: no bound"),
  ttl: duration("1ms", "24h")
    .optional()
    .describe("How long they wait that do not say. Default: as in `flow.ttl`"),
  fairness: plain.optional().describe("Which tenant goes next. Default: as in `flow.fairness`"),
  ordering: plain
    .optional()
    .describe("Which of a tenant's requests goes first. Default: as in `flow.ordering`"),
};

const bandSchema = z.strictObject(bandShape);

/** Who waits for a pool's servers, and for how long. */
export const poolFlowSchema = z.strictObject({
  priorities: z
    .array(
      z.strictObject({
        priority: whole(-1_000_000, 1_000_000).describe("Higher goes first; below 0 is what is shed first"),
        ...bandShape,
      }),
    )
    .max(100)
    .default([])
    .describe("Priorities with bounds or policies of their own"),
  others: bandSchema.prefault({}).describe("Priorities from 0 up that are not listed"),
  sheddable: bandSchema
    .optional()
    .describe("Priorities below 0 that are not listed. Default: as in `others`"),
  fairness: plain
    .default("global-strict-fairness-policy")
    .describe("Which tenant of a priority goes next: `round-robin`"),
  ordering: plain.default("fcfs-ordering-policy").describe("Which of a tenant's requests goes first"),
  saturation: plain.default("utilization-detector").describe("How full the servers are"),
  usageLimit: plain
    .default("static-usage-limit-policy")
    .describe("Up to which saturation each priority is given places"),
  eviction: falseOr("the type of a plugin, or a mapping with its type and parameters", plain)
    .default(false)
    .describe("Which requests under way may be called off for higher priorities; `false`: none"),
  maxRequests: whole(1, 10_000_000)
    .optional()
    .describe("Requests of all priorities that wait. Default: no bound but theirs"),
  maxBytes: size("1KiB", "1024GiB")
    .optional()
    .describe("Bytes of their bodies. Default: no bound but theirs"),
  maxTokens: whole(1, 1e12).optional().describe("Tokens that they are predicted to need. Default: no bound"),
  ttl: duration("1ms", "24h", { zero: "for as long as the caller waits" })
    .default("60s")
    .describe("How long a request waits that does not say"),
  noEndpointTtl: duration("1ms", "24h", { zero: "for as long as the caller waits" })
    .optional()
    .describe("How long it waits while the pool has no endpoint. Default: as in `ttl`"),
});

/** Makes of servers whose metrics are known. */
export const knownEngines = ["vllm", "sglang", "triton-tensorrt-llm", "trtllm-serve", "triton"] as const;

const engineName = name
  .refine(() => true)
  .register(expectations, {
    expected: `${knownEngines.join(", ")}, or one of \`engines\``,
  });

const series = z
  .string()
  .min(1)
  .max(512)
  .register(expectations, { expected: "the name of a metric, with labels in braces where it needs them" });

const metricsSchema = z.strictObject({
  engine: engineName.default("vllm").describe("What the servers are, where their labels do not say"),
  scheme: choice("http", "https")
    .optional()
    .describe("How the page is asked for. Default: as the endpoint itself"),
  path: z
    .string()
    .regex(/^\/[\x21-\x7e]*$/)
    .register(expectations, { expected: "a path that begins with /" })
    .default("/metrics")
    .describe("Where the page is"),
  port: port.optional().describe("Port of the page. Default: the endpoint's"),
  interval: duration("50ms", "1h").default("100ms").describe("How often each server is asked"),
  staleAfter: duration("100ms", "1h").default("2s").describe("Age from which a number says nothing any more"),
  ca: filePath.optional().describe("PEM file of the certificate authority for `https`"),
  insecureSkipVerify: yesNo.default(false).describe("Take any certificate"),
  engineLabel: z
    .string()
    .min(1)
    .max(317)
    .register(expectations, { expected: "the name of a label" })
    .default("llm-d.ai/engine-type")
    .describe("Label of an endpoint that names its engine"),
  extractors: z.array(plain).max(20).default([]).describe("Plugins of yours that read the pages as well"),
  engines: z
    .record(
      name,
      z.strictObject({
        waiting: series.optional().describe("Requests that wait in the server"),
        running: series.optional().describe("Requests that it computes"),
        kvUsage: series.optional().describe("Share of its KV cache in use, 0 to 1"),
        custom: z
          .record(name, series)
          .default({})
          .describe("Further quantities, by names that plugins of yours read"),
      }),
    )
    .default({})
    .describe("Servers of other makes: what they call their quantities"),
});

/** What is read of a pool's servers: the name of their make, or more. */
export const poolMetricsSchema = z
  .union([z.literal(false), engineName, metricsSchema])
  .register(expectations, { expected: "the make of the servers such as vllm, a mapping, or false" });

/** A plugin as it may be written. */
export type PluginUse = z.output<typeof plain>;
/** A profile with its defaults. */
export type ProfileUse = z.output<typeof profileSchema>;
/** `scheduling` of a pool with its defaults. */
export type DefaultedScheduling = z.output<typeof schedulingSchema>;
/** `flow` of a pool with its defaults. */
export type DefaultedPoolFlow = z.output<typeof poolFlowSchema>;
/** `metrics` of a pool with its defaults. */
export type DefaultedMetrics = z.output<typeof poolMetricsSchema>;
