// docs/reference/metrics.md.
import { metricDefinitions } from "../../../packages/gateway/src/app/metric-definitions.ts";
import { banner, code, table } from "./markdown.ts";

/** The page of all metric families. */
export function metricsPage(): string {
  const rows = metricDefinitions.map((definition) => {
    const { name, help, labels } = definition;
    return [code(name), typeOf(definition), labels.map(code).join(", "), help];
  });
  return `${banner}# Metrics

\`GET /metrics\` answers in the Prometheus text format 0.0.4. Times are in seconds, sizes in bytes. A family keeps at most
1,000 label sets apart; beyond it all share one in which every label says \`other\`.

${table(["Name", "Type", "Labels", "Meaning"], rows)}
## Buckets

${table(["Histogram", "Upper bounds"], metricDefinitions.flatMap(bucketRow))}`;
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
