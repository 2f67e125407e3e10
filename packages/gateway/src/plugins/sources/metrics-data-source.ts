/** How the servers' pages of metrics are read. */
import { z } from "zod";
import type { MetricsSourceSpec } from "../../contracts/plugins/data.ts";
import { definePlugin } from "../define-plugin.ts";
import { durationParameter } from "../duration-parameter.ts";

/** Shortest interval, ms: more often tells little, and costs the servers. */
const leastIntervalMs = 50;

const parameters = z.lazy(() =>
  z
    .strictObject({
      scheme: z.enum(["http", "https"]).optional(),
      path: z.string().startsWith("/").default("/metrics"),
      port: z.int().min(1).max(65_535).optional(),
      interval: durationParameter.optional(),
      insecureSkipVerify: z.boolean().default(true),
      caCertPath: z.string().optional(),
      clientCertPath: z.string().optional(),
      clientKeyPath: z.string().optional(),
    })
    .refine((given) => (given.clientCertPath === undefined) === (given.clientKeyPath === undefined), {
      message: "clientCertPath and clientKeyPath go together",
    }),
);

/** The source of metrics. Shorter intervals than 50 ms count as that. */
export const metricsDataSource = definePlugin({
  type: "metrics-data-source",
  kinds: ["source"],
  summary: "Reads the metrics of the model servers from an address of theirs.",
  parameters,
  create: (given): MetricsSourceSpec => ({
    scheme: given.scheme,
    path: given.path,
    port: given.port,
    intervalMs: Math.max(leastIntervalMs, given.interval ?? leastIntervalMs),
    insecureSkipVerify: given.insecureSkipVerify,
    ca: given.caCertPath,
    clientCert: given.clientCertPath,
    clientKey: given.clientKeyPath,
    staleAfterMs: 2_000,
  }),
});
