// docs/reference/metrics.md.
import { metricDefinitions } from "../../../packages/gateway/src/app/metric-definitions.ts";
import type { MetricAlias } from "../../../packages/gateway/src/contracts/telemetry.ts";
import { banner, code, table } from "./markdown.ts";

/** The page of all metric families. */
export function metricsPage(): string {
  const rows = metricDefinitions.map((definition) => {
    const { name, help, labels, aliases = [] } = definition;
    const also = aliases.map((alias) => ` Also as ${code(aliasOf(alias))}.`).join("");
    return [code(name), typeOf(definition), labels.map(code).join(", "), help + also];
  });
  return `${banner}# Metrics

\`GET /metrics\` answers in the Prometheus text format 0.0.4. Times are in seconds, sizes in bytes. A family keeps at most
1,000 label sets apart; beyond it all share one in which every label says \`other\`. Families that have another name as
well (“also as”) are counted once and written under both.

${table(["Name", "Type", "Labels", "Meaning"], rows)}
## Buckets

${table(["Histogram", "Upper bounds"], metricDefinitions.flatMap(bucketRow))}`;
}

function aliasOf({ name, labels = [] }: MetricAlias): string {
  return labels.length === 0 ? name : `${name}{${labels.map(([label]) => label).join(", ")}}`;
}

type Definition = (typeof metricDefinitions)[number];

function typeOf(definition: Definition): string {
  if (definition.buckets !== undefined) return "histogram";
  if (definition.quantiles !== undefined) return "summary";
  return definition.name.endsWith("_total") ? "counter" : "gauge";
}

function bucketRow({ name, buckets }: Definition): string[][] {
  return buckets === undefined ? [] : [[code(name), buckets.join(", ")]];
}
