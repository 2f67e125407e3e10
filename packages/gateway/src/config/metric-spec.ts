/** A series on a page of metrics, as people write it. */

/** Its name and the labels that it must have. */
export interface MetricSpec {
  readonly metric: string;
  readonly labels: Readonly<Record<string, string>>;
}

const specPattern = /^([A-Za-z_:][\w:]*)\s*(?:\{(.*)\})?$/;
const labelPattern = /\s*([A-Za-z_]\w*)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^",{}\s]+))\s*(,|$)/y;

/** Reads `name`, `name{label=value,…}` and `name{label="value",…}`; undefined for anything else. */
export function readMetricSpec(text: string): MetricSpec | undefined {
  const [, metric, body = ""] = specPattern.exec(text.trim()) ?? [];
  if (metric === undefined) return undefined;
  const labels: Record<string, string> = {};
  labelPattern.lastIndex = 0;
  while (labelPattern.lastIndex < body.length) {
    const found = labelPattern.exec(body);
    if (found === null) return undefined;
    const [, label = "", quoted, plain = ""] = found;
    labels[label] = quoted?.replaceAll(/\\(.)/g, (_, each: string) => (each === "n" ? "\n" : each)) ?? plain;
  }
  return { metric, labels };
}
